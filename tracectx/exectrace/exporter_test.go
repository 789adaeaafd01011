// SPDX-License-Identifier: Apache-2.0

package exectrace_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/gmpulse/gmpulse/internal/testutil"
	"github.com/gmpulse/gmpulse/runtimeinfo"
	"github.com/gmpulse/gmpulse/tracectx/exectrace"
)

// backend is an exporter that fails the test if it is called concurrently.
type backend struct {
	t    *testing.T
	mu   sync.Mutex
	got  map[string]sdktrace.ReadOnlySpan // the last one of each name
	n    int
	shut bool
}

func newBackend(t *testing.T) *backend {
	t.Helper()
	return &backend{t: t, got: map[string]sdktrace.ReadOnlySpan{}}
}

func (b *backend) ExportSpans(_ context.Context, spans []sdktrace.ReadOnlySpan) error {
	if !b.mu.TryLock() {
		b.t.Error("called concurrently")
		b.mu.Lock()
	}
	defer b.mu.Unlock()
	if b.shut {
		b.t.Error("called after Shutdown")
	}
	time.Sleep(time.Millisecond) // so that concurrent calls overlap
	for _, s := range spans {
		b.got[s.Name()] = s
	}
	b.n += len(spans)
	return nil
}

func (b *backend) Shutdown(context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.shut = true
	return nil
}

// exact returns the gmpulse.span.exec attributes of a span, in seconds.
func exact(s sdktrace.ReadOnlySpan) map[string]float64 {
	const prefix = "gmpulse.span.exec."
	m := map[string]float64{}
	for _, a := range s.Attributes() {
		if key, ok := strings.CutPrefix(string(a.Key), prefix); ok {
			m[key] = a.Value.AsFloat64()
		}
	}
	return m
}

// slowTrace creates a slow root with two children, and quick roots before and after.
func slowTrace(t *testing.T, tracer trace.Tracer) {
	t.Helper()
	// Only the root may be slow, also if the test gets no CPU for a while.
	span := func(ctx context.Context, name string, length time.Duration, work func()) {
		begin := time.Now()
		_, s := tracer.Start(ctx, name, trace.WithTimestamp(begin))
		work()
		s.End(trace.WithTimestamp(begin.Add(length)))
	}
	span(t.Context(), "quick", 0, func() {})
	ctx, root := tracer.Start(t.Context(), "slow")
	span(ctx, "asleep", busy, func() { time.Sleep(busy) })
	span(ctx, "busy", busy, func() { spin(busy) })
	root.End()
	span(t.Context(), "quick", 0, func() {})
}

func recording(t *testing.T, c exectrace.Config) *exectrace.Recorder {
	t.Helper()
	c.Mode, c.Every, c.MaxShare = exectrace.Always, 300*time.Millisecond, 1e6
	if c.SlowerThan == 0 {
		c.SlowerThan = 3 * busy / 2
	}
	r := running(t, c)
	testutil.Retry(t, func() error {
		if r.Window() == nil {
			return errors.New("no window")
		}
		return nil
	})
	return r
}

func TestSlowSpansGetAttributes(t *testing.T) {
	for name, processor := range map[string]func(sdktrace.SpanExporter) sdktrace.TracerProviderOption{
		"batches": func(x sdktrace.SpanExporter) sdktrace.TracerProviderOption { return sdktrace.WithBatcher(x) },
		"one by one": func(x sdktrace.SpanExporter) sdktrace.TracerProviderOption {
			return sdktrace.WithSpanProcessor(sdktrace.NewSimpleSpanProcessor(x))
		},
	} {
		t.Run(name, func(t *testing.T) {
			var events []runtimeinfo.Event
			r := recording(t, exectrace.Config{})
			r.NotifySlow(func(e runtimeinfo.Event, recorded []byte) {
				events = append(events, e)
				if len(recorded) == 0 {
					t.Error("no recording")
				}
				panic("foreign")
			})
			b := newBackend(t)
			tp := provider(t, processor(r.WrapExporter(b)))
			slowTrace(t, tp.Tracer("test"))
			if err := tp.Shutdown(context.Background()); err != nil {
				t.Fatal(err)
			}
			if b.n != 5 || !b.shut {
				t.Fatalf("%d spans exported, shut down %v", b.n, b.shut)
			}
			slow := exact(b.got["slow"])
			if slow["coverage"] < 0.5 || slow["blocked.sleep"] < busy.Seconds()/2 || slow["running"]+slow["runnable"] < busy.Seconds()/2 || slow["blocked"] < slow["blocked.sleep"] {
				t.Errorf("slow: %v", slow)
			}
			if len(exact(b.got["quick"])) != 0 {
				t.Errorf("quick: %v", exact(b.got["quick"]))
			}
			if len(events) != 1 || events[0].Name != "span.slow" || events[0].Spans[0].Name != "slow" || events[0].Spans[0].SpanID != b.got["slow"].SpanContext().SpanID() ||
				!strings.HasPrefix(events[0].Message, "slow took ") || !strings.Contains(events[0].Message, " sleep") {
				t.Errorf("events %v", events)
			}
			if s := r.Stats(); s.Slow != 1 || s.SlowMissed != 0 {
				t.Errorf("stats %+v", s)
			}
			if name == "batches" { // the children are in the same batch
				asleep, working := exact(b.got["asleep"]), exact(b.got["busy"])
				if asleep["blocked.sleep"] < busy.Seconds()/2 || working["running"]+working["runnable"] < busy.Seconds()/2 {
					t.Errorf("children: %v, %v", asleep, working)
				}
			}
		})
	}
}

// Spans are exported unchanged and at once while nothing is recorded, during ForceFlush,
// and if recordings cannot be read.
func TestSlowSpansAreExportedUnchanged(t *testing.T) {
	t.Run("off", func(t *testing.T) {
		testUnchanged(t, newRecorder(t, exectrace.Config{SlowerThan: busy}), func(*sdktrace.TracerProvider) {})
	})
	t.Run("flush", func(t *testing.T) {
		testUnchanged(t, recording(t, exectrace.Config{}), func(tp *sdktrace.TracerProvider) { _ = tp.ForceFlush(context.Background()) })
	})
	t.Run("too many events", func(t *testing.T) {
		c := exectrace.Config{Mode: exectrace.Always, Every: 10 * time.Second, MaxShare: 1e6, MaxEvents: 1, SlowerThan: busy}
		r := running(t, c)
		time.Sleep(2 * busy) // Run begins to record; the test also holds before
		testUnchanged(t, r, func(*sdktrace.TracerProvider) {})
	})
}

func testUnchanged(t *testing.T, r *exectrace.Recorder, end func(*sdktrace.TracerProvider)) {
	t.Helper()
	b := newBackend(t)
	tp := provider(t, sdktrace.WithBatcher(r.WrapExporter(b)))
	slowTrace(t, tp.Tracer("test"))
	end(tp)
	if err := tp.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	if b.n != 5 {
		t.Fatalf("%d spans exported", b.n)
	}
	for name, s := range b.got {
		if len(exact(s)) != 0 {
			t.Errorf("%s: %v", name, exact(s))
		}
	}
	if n := r.Stats().Slow; n != 0 {
		t.Errorf("%d slow spans analyzed", n)
	}
}
