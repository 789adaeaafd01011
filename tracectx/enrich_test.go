// SPDX-License-Identifier: Apache-2.0

package tracectx_test

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/gmpulse/gmpulse/internal/catalogue"
	"github.com/gmpulse/gmpulse/internal/testutil"
	"github.com/gmpulse/gmpulse/runtimeinfo"
	"github.com/gmpulse/gmpulse/tracectx"
)

// rows is the catalogue of metrics.
var rows = catalogue.All()

// tick adds a snapshot to a History, in which every value is n.
func tick(h *tracectx.History, n float64) {
	var points []runtimeinfo.Point
	for _, m := range rows {
		switch m.Key() {
		case "go.goroutine.count", "gmpulse.memory.heap_alloc", "go.memory.allocated", "go.memory.gc.cycles", "gmpulse.gc.pause.time", "gmpulse.cgroup.cpu.throttled.time":
			points = append(points, runtimeinfo.Point{Metric: m, Number: n})
		case "gmpulse.host.age":
			points = append(points, runtimeinfo.Point{Metric: m, Number: 0})
		case "go.schedule.duration":
			points = append(points, runtimeinfo.Point{Metric: m, Histogram: &runtimeinfo.Histogram{Bounds: []float64{1}, Counts: []uint64{uint64(n), 0}}})
		}
	}
	s := runtimeinfo.NewSnapshot(points...)
	s.Time = time.Now()
	s.SpanGroups = []runtimeinfo.SpanGroup{{Name: "a", Active: 3}}
	h.Add(s)
}

// ticking runs f in a synctest bubble with a History that gets a tick every second, at
// 0.5 s, 1.5 s and so on.
func ticking(t *testing.T, f func(t *testing.T, h *tracectx.History)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := tracectx.NewHistory(0)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			time.Sleep(500 * time.Millisecond)
			for n := 1.; ctx.Err() == nil; n++ {
				tick(h, n)
				time.Sleep(time.Second)
			}
		})
		f(t, h)
		cancel()
		wg.Wait()
	})
}

// values returns the numeric attributes of a span.
func values(span sdktrace.ReadOnlySpan) map[attribute.Key]float64 {
	all := map[attribute.Key]float64{}
	for _, a := range span.Attributes() {
		switch a.Value.Type() {
		case attribute.INT64:
			all[a.Key] = float64(a.Value.AsInt64())
		case attribute.FLOAT64:
			all[a.Key] = a.Value.AsFloat64()
		default:
		}
	}
	return all
}

// kept is an exporter that keeps the spans.
type kept struct {
	mu    sync.Mutex
	spans map[string]sdktrace.ReadOnlySpan // by name
}

func (k *kept) ExportSpans(_ context.Context, spans []sdktrace.ReadOnlySpan) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, s := range spans {
		if k.spans == nil {
			k.spans = map[string]sdktrace.ReadOnlySpan{}
		}
		k.spans[s.Name()] = s
	}
	return nil
}

func (*kept) Shutdown(context.Context) error { return nil }

// TestEnrichment exports a trace with spans of different lengths in every supported way.
func TestEnrichment(t *testing.T) {
	for name, provider := range map[string]func(sdktrace.SpanExporter, tracectx.Enrichment) *sdktrace.TracerProvider{
		"batch": func(x sdktrace.SpanExporter, e tracectx.Enrichment) *sdktrace.TracerProvider {
			return sdktrace.NewTracerProvider(sdktrace.WithBatcher(tracectx.WrapExporter(x, e)))
		},
		"simple": func(x sdktrace.SpanExporter, e tracectx.Enrichment) *sdktrace.TracerProvider {
			return sdktrace.NewTracerProvider(sdktrace.WithSyncer(tracectx.WrapExporter(x, e)))
		},
		"processor": func(x sdktrace.SpanExporter, e tracectx.Enrichment) *sdktrace.TracerProvider {
			return sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(tracectx.WrapProcessor(sdktrace.NewBatchSpanProcessor(x), e)))
		},
		"twice": func(x sdktrace.SpanExporter, e tracectx.Enrichment) *sdktrace.TracerProvider {
			return sdktrace.NewTracerProvider(sdktrace.WithSyncer(tracectx.WrapExporter(tracectx.WrapExporter(x, e), e)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			ticking(t, func(t *testing.T, h *tracectx.History) {
				t.Helper()
				var out kept
				tp := provider(&out, tracectx.Enrichment{History: h, Slow: 3 * time.Second})
				trace4s(t, tp)
				if err := tp.Shutdown(t.Context()); err != nil {
					t.Fatal(err)
				}
				checkTrace(t, out.spans)
			})
		})
	}
}

// trace4s creates a root of 4 s with children of 0 s, 2 s and 3 s, and a root of 200 ms
// that contains a tick.
func trace4s(t *testing.T, tp trace.TracerProvider) {
	t.Helper()
	tracer := tp.Tracer("")
	time.Sleep(2 * time.Second)
	ctx, root := tracer.Start(t.Context(), "root", trace.WithAttributes(attribute.String("k", "v")))
	_, slow := tracer.Start(ctx, "slow child")
	_, child := tracer.Start(ctx, "child")
	time.Sleep(500 * time.Millisecond)
	_, short := tracer.Start(ctx, "short child")
	short.End()
	time.Sleep(1500 * time.Millisecond)
	child.End()
	time.Sleep(1 * time.Second)
	slow.End()
	time.Sleep(400 * time.Millisecond)
	_, short = tracer.Start(context.Background(), "short root")
	time.Sleep(200 * time.Millisecond)
	short.End()
	time.Sleep(400 * time.Millisecond)
	root.End()
}

func checkTrace(t *testing.T, spans map[string]sdktrace.ReadOnlySpan) {
	t.Helper()
	if len(spans) != 5 {
		t.Fatalf("%d spans", len(spans))
	}
	for _, plain := range []string{"child", "short child", "short root"} {
		if a := spans[plain].Attributes(); len(a) != 0 {
			t.Errorf("%s: %v", plain, a)
		}
	}
	const during, atStart = "gmpulse.process.during.", "gmpulse.process.at_start."
	got := values(spans["root"]) // from 2 s to 6 s: the ticks at 2.5 s to 5.5 s, compared with the tick at 1.5 s
	delete(got, during+"cpu.time")
	want := map[attribute.Key]float64{
		during + "ticks": 4, during + "time": 4, during + "active_spans": 3,
		during + "gc.pause.time": 4, during + "gc.cycles": 4, during + "memory.allocated": 4,
		during + "goroutine.delta": 4, during + "goroutine.max": 6, during + "schedule.p99": 0.99,
		during + "throttled.time": 4, during + "throttled.window": 4,
		atStart + "goroutine.count": 2, atStart + "memory.heap": 2,
	}
	if !maps.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if a := spans["root"].Attributes()[0]; a != attribute.String("k", "v") {
		t.Errorf("first attribute %v", a)
	}
	if slow := values(spans["slow child"]); slow[during+"ticks"] != 3 {
		t.Errorf("slow child: %v", slow)
	}
}

func TestWrappersWithoutHistoryReturnTheArgument(t *testing.T) {
	x, p := sdktrace.SpanExporter(&kept{}), sdktrace.SpanProcessor(empty{})
	if tracectx.WrapExporter(x, tracectx.Enrichment{}) != x || tracectx.WrapProcessor(p, tracectx.Enrichment{}) != p {
		t.Error("wrapped without a History")
	}
}

func TestExportSpansDoesNotChangeTheSlice(t *testing.T) {
	ticking(t, func(t *testing.T, h *tracectx.History) {
		t.Helper()
		x := tracectx.WrapExporter(&kept{}, tracectx.Enrichment{History: h})
		time.Sleep(5 * time.Second)
		long := tracetest.SpanStub{StartTime: time.Now().Add(-3 * time.Second), EndTime: time.Now()}.Snapshot()
		batch := []sdktrace.ReadOnlySpan{long}
		if err := x.ExportSpans(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
		if len(batch[0].Attributes()) != 0 {
			t.Error("the caller's slice changed")
		}
	})
}

func TestEnrichmentAllocations(t *testing.T) {
	if testutil.RaceEnabled {
		t.Skip("the race detector allocates")
	}
	h := tracectx.NewHistory(0)
	for n := range 5 {
		tick(h, float64(n))
	}
	start := time.Now().Add(-time.Hour)
	for name, test := range map[string]struct {
		span sdktrace.ReadOnlySpan
		most float64
	}{
		"enriched": {tracetest.SpanStub{StartTime: start, EndTime: time.Now(), Attributes: eightAttributes()}.Snapshot(), 2},
		"not":      {tracetest.SpanStub{StartTime: start, EndTime: start.Add(time.Millisecond)}.Snapshot(), 0},
	} {
		p := tracectx.WrapProcessor(empty{}, tracectx.Enrichment{History: h})
		if n := testing.AllocsPerRun(100, func() { p.OnEnd(test.span) }); n > test.most {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func TestLongSpansGetEvents(t *testing.T) {
	ticking(t, func(t *testing.T, h *tracectx.History) {
		t.Helper()
		p := newProcessor(t, tracectx.Config{History: h})
		var out kept
		tp := sdktrace.NewTracerProvider(sdktrace.WithSyncer(&out), sdktrace.WithSpanProcessor(p))
		start := time.Now()
		ctx, long := tp.Tracer("").Start(t.Context(), "long")
		_, short := tp.Tracer("").Start(t.Context(), "short")
		_, child := tp.Tracer("").Start(ctx, "child")
		tp.Tracer("").Start(t.Context(), "lost")
		observe := func() tracectx.Activity {
			time.Sleep(time.Second)
			return p.Observe(time.Now())
		}
		for range 6 {
			observe()
		}
		short.End()
		for time.Since(start) < 9*time.Minute {
			observe()
		}
		child.End()
		long.End()
		var ages []time.Duration
		for _, e := range out.spans["long"].Events() {
			if e.Name != "gmpulse.runtime.sample" {
				t.Errorf("event %s", e.Name)
			}
			ages = append(ages, e.Time.Sub(start))
			if n := e.Attributes[0]; n.Key != "gmpulse.goroutine.count" || time.Duration(n.Value.AsInt64())*time.Second-500*time.Millisecond != ages[len(ages)-1] {
				t.Errorf("%v at %v", n, e.Time.Sub(start))
			}
		}
		if len(ages) != 12 || ages[0] < 5*time.Second || ages[0] > 6*time.Second || !slices.IsSorted(ages) || ages[11] < 7*time.Minute {
			t.Errorf("events at %v", ages)
		}
		if s, c := len(out.spans["short"].Events()), len(out.spans["child"].Events()); s != 1 || c != 0 {
			t.Errorf("%d events on a root of 6 s, %d on a child", s, c)
		}
		lost := 0
		for range 120 {
			for _, e := range observe().Events {
				if e.Name == "span.never_ended" && e.Spans[0].Name == "lost" {
					lost++
				}
			}
		}
		if c := activeNow(p); lost != 1 || c != 0 {
			t.Errorf("%d events of the lost span, %d active", lost, c)
		}
	})
}

func activeNow(p *tracectx.Processor) (active int) {
	for _, g := range p.Observe(time.Now()).Groups {
		active += g.Active
	}
	return active
}

func TestLongSpanEventsAreSpreadOverTicks(t *testing.T) {
	ticking(t, func(t *testing.T, h *tracectx.History) {
		t.Helper()
		p := newProcessor(t, tracectx.Config{History: h})
		tp := newProvider(t, sdktrace.WithSpanProcessor(p))
		var spans []sdktrace.ReadOnlySpan
		var others []trace.Span
		for i := range 2000 {
			_, span := tp.Tracer("").Start(t.Context(), strconv.Itoa(i%10))
			if i%2 == 0 {
				spans = append(spans, span.(sdktrace.ReadOnlySpan))
				continue
			}
			others = append(others, span)
		}
		for _, span := range others {
			span.End() // moves the others in the table
		}
		count := func() (n int) {
			for _, s := range spans {
				n += len(s.Events())
			}
			return n
		}
		last := 0
		for second := range 20 {
			time.Sleep(time.Second)
			p.Observe(time.Now())
			n := count()
			if n-last > 64 || second < 5 && n > 0 {
				t.Errorf("%d events in second %d", n-last, second)
			}
			last = n
		}
		for range 60 {
			time.Sleep(time.Second)
			p.Observe(time.Now())
		}
		for _, s := range spans {
			if n := len(s.Events()); n < 1 || n > 12 {
				t.Errorf("%d events on a span", n)
			}
		}
	})
}

func TestEndedSpansAreRemovedWithHistory(t *testing.T) {
	p := newProcessor(t, tracectx.Config{History: tracectx.NewHistory(0)})
	r := root(1, 1, "a")
	for i := range uint64(100) {
		r := root(1, i+10, "a")
		p.OnStart(t.Context(), r)
		if i%2 == 0 {
			p.OnEnd(r)
		}
	}
	p.OnStart(t.Context(), r)
	p.OnEnd(r)
	if c := activeNow(p); c != 50 || math.Signbit(float64(c)) {
		t.Errorf("%d active", c)
	}
}

func eightAttributes() (attrs []attribute.KeyValue) {
	for i := range 8 {
		attrs = append(attrs, attribute.Int(fmt.Sprint("key", i), i))
	}
	return attrs
}
