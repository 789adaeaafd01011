// SPDX-License-Identifier: Apache-2.0

package tracectx_test

import (
	"bytes"
	"context"
	"fmt"
	"runtime/pprof"
	"sync"
	"testing"
	"time"

	"github.com/google/pprof/profile"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/gmpulse/gmpulse/internal/testutil"
	"github.com/gmpulse/gmpulse/tracectx"
)

// labelsOf counts the goroutines that wait in a function of this package, by their
// labels.
func labelsOf(t *testing.T, function string) map[string]int {
	t.Helper()
	var b bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&b, 0); err != nil {
		t.Fatal(err)
	}
	all, err := profile.Parse(&b)
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for _, s := range all.Sample {
		for _, l := range s.Location {
			if l.Line[0].Function.Name == "github.com/gmpulse/gmpulse/tracectx_test."+function {
				counts[fmt.Sprint(s.Label["own"], s.Label[tracectx.RootLabel])] += int(s.Value[0])
				break
			}
		}
	}
	return counts
}

//go:noinline
func waitHere(release <-chan struct{}) { <-release }

// endElsewhere starts n spans on goroutines that exit, and ends them on later goroutines,
// which may reuse the stacks. within calls end. endElsewhere counts the later goroutines
// by their labels afterwards.
func endElsewhere(t *testing.T, n int, within func(tracer trace.Tracer, end func())) map[string]int {
	t.Helper()
	p := newProcessor(t, tracectx.Config{Capacity: 2 * n})
	tracer := newProvider(t, sdktrace.WithSpanProcessor(p)).Tracer("")
	release := make(chan struct{})
	var running sync.WaitGroup
	for range n {
		var span trace.Span
		var first sync.WaitGroup
		first.Go(func() { _, span = tracer.Start(context.Background(), "theirs") })
		first.Wait()
		ended := make(chan struct{})
		running.Go(func() {
			within(tracer, func() {
				span.End()
				close(ended)
				waitHere(release)
			})
		})
		<-ended
	}
	got := labelsOf(t, "waitHere")
	close(release)
	running.Wait()
	if c, _ := observe(t, p); c.active != 0 {
		t.Errorf("%+v", c)
	}
	return got
}

// A span that ends on another goroutine does not change the labels of that goroutine,
// even if the goroutine reuses the stack of the one that started the span.
func TestEndOnAGoroutineWithTheSameStackKeepsLabels(t *testing.T) {
	n := 20_000 // 60,000 in all
	if testing.Short() || testutil.RaceEnabled {
		n = 2_000
	}
	for name, test := range map[string]struct {
		within func(tracer trace.Tracer, end func())
		want   string
	}{
		"of pprof.Do": {func(_ trace.Tracer, end func()) {
			pprof.Do(context.Background(), pprof.Labels("own", "yes"), func(context.Context) { end() })
		}, "[yes] []"},
		"of another root": {func(tracer trace.Tracer, end func()) {
			_, span := tracer.Start(context.Background(), "own")
			defer span.End()
			end()
		}, "[] [own]"},
		"of another root under pprof.Do": {func(tracer trace.Tracer, end func()) {
			pprof.Do(context.Background(), pprof.Labels("own", "yes"), func(context.Context) {
				_, span := tracer.Start(context.Background(), "own")
				defer span.End()
				end()
			})
		}, "[yes] [own]"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := endElsewhere(t, n, test.within); got[test.want] != n || len(got) != 1 {
				t.Errorf("labels of %d goroutines: %v", n, got)
			}
		})
	}
}

// One in 16 roots of the same name and epoch uses the same label set.
func TestEndElsewhereUnderTheSameName(t *testing.T) {
	const n = 4_000
	got := endElsewhere(t, n, func(tracer trace.Tracer, end func()) {
		_, span := tracer.Start(context.Background(), "theirs")
		defer span.End()
		end()
	})
	if got["[] [theirs]"] < n-n/8 {
		t.Errorf("labels of %d goroutines: %v", n, got)
	}
}

// Labels that the application sets on a goroutine, but not in the span's context, are
// kept during the span and after it.
func TestLabelsOutsideTheContextAreKept(t *testing.T) {
	p := newProcessor(t, tracectx.Config{})
	tracer := newProvider(t, sdktrace.WithSpanProcessor(p)).Tracer("")
	fixStack(t, tracer)
	pprof.SetGoroutineLabels(pprof.WithLabels(context.Background(), pprof.Labels("tenant", "a")))
	defer pprof.SetGoroutineLabels(context.Background())
	for range 3 {
		_, span := tracer.Start(context.Background(), "GET /")
		if got := ownLabels(t); got["tenant"] != "a" || got[tracectx.RootLabel] != "GET /" {
			t.Errorf("inside: %v", got)
		}
		span.End()
		if got := ownLabels(t); got["tenant"] != "a" || len(got) != 1 {
			t.Errorf("after: %v", got)
		}
	}
}

// A root that begins inside another because the context was lost does not change the
// labels and does not count as load.
func TestLostContext(t *testing.T) {
	for name, wrap := range map[string]func(*tracectx.Processor, trace.TracerProvider) trace.TracerProvider{
		"registered": func(p *tracectx.Processor, tp trace.TracerProvider) trace.TracerProvider {
			p.Attach(tp)
			return tp
		},
		"wrapped": func(p *tracectx.Processor, tp trace.TracerProvider) trace.TracerProvider {
			return p.WrapTracerProvider(tp)
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProcessor(t, tracectx.Config{})
			tracer := wrap(p, newProvider(t)).Tracer("")
			fixStack(t, tracer)
			n := newWaiters(t)
			ctx, outer := tracer.Start(t.Context(), "GET /user")
			_, inner := tracer.Start(context.Background(), "gorm.Query")
			n.spawn()
			observe(t, p)
			if active, _ := p.Inner(); active != 1 {
				t.Errorf("%d active roots are inner ones", active)
			}
			inner.End()
			n.spawn()
			_, meant := tracer.Start(ctx, "audit", trace.WithNewRoot())
			n.spawn()
			meant.End()
			n.spawn()
			outer.End()
			n.spawn()
			if got := rootsOfWaiters(t); got["GET /user"] != 3 || got["audit"] != 1 || got[""] != 1 || len(got) != 3 {
				t.Errorf("goroutines by root: %v", got)
			}
			c, _ := observe(t, p)
			if active, ended := p.Inner(); c.ended != 5 || ended != 1 || active != 0 {
				t.Errorf("%+v, %d inner ones", c, ended)
			}
		})
	}
}

// Roots that begin on a goroutine of a request count as roots, except outgoing calls.
func TestRootsOnGoroutinesOfARoot(t *testing.T) {
	p := newProcessor(t, tracectx.Config{})
	tracer := newProvider(t, sdktrace.WithSpanProcessor(p)).Tracer("")
	n := newWaiters(t)
	_, outer := tracer.Start(t.Context(), "GET /user")
	defer outer.End()
	var wg sync.WaitGroup
	wg.Go(func() {
		for _, kind := range []trace.SpanKind{trace.SpanKindInternal, trace.SpanKindConsumer, trace.SpanKindClient} {
			_, span := tracer.Start(context.Background(), kind.String(), trace.WithSpanKind(kind))
			n.spawn()
			span.End()
		}
		n.spawn()
	})
	wg.Wait()
	if got := rootsOfWaiters(t); got["internal"] != 1 || got["consumer"] != 1 || got["GET /user"] != 2 {
		t.Errorf("goroutines by root: %v", got)
	}
	c, _ := observe(t, p)
	if _, ended := p.Inner(); c.ended != 3 || ended != 1 {
		t.Errorf("%+v, %d inner ones", c, ended)
	}
}

// Epochs and ages depend on the clock, not on the start times that spans report.
func TestBackdatedStartDoesNotAffectEpochAndAge(t *testing.T) {
	p := newProcessor(t, tracectx.Config{})
	tracer := newProvider(t, sdktrace.WithSpanProcessor(p)).Tracer("")
	start := time.Now()
	p.Observe(start.Add(3 * time.Hour)) // seconds 10,800: an epoch of ten minutes
	n := newWaiters(t)
	for _, reported := range []time.Duration{-20 * time.Minute, 0, 20 * time.Minute} {
		_, span := tracer.Start(t.Context(), "orders process", trace.WithTimestamp(start.Add(3*time.Hour+reported)))
		n.spawn()
		defer span.End()
	}
	if o, ok := p.Origin("orders process", "10800"); !ok || len(o.Examples) != 1 {
		t.Errorf("origin %+v, %v", o, ok)
	}
	for _, epoch := range []string{"9600", "12000"} {
		if o, _ := p.Origin("orders process", epoch); len(o.Examples) != 0 {
			t.Errorf("epoch %s has %+v", epoch, o.Examples)
		}
	}
	a := p.Observe(start.Add(3*time.Hour + 500*time.Millisecond))
	if g := a.Groups[0]; g.Active != 3 || g.Ages[0]+g.Ages[1] != 3 {
		t.Errorf("ages half a second later: %v", g.Ages)
	}
}

func TestDurationOfABackdatedSpanCountsFromItsStartHere(t *testing.T) {
	p := newProcessor(t, tracectx.Config{})
	for i := range uint64(100) {
		s := root(1, i+1, "orders process")
		s.start = s.start.Add(-20 * time.Minute)
		p.OnStart(t.Context(), s)
		s.took = 20*time.Minute + 10*time.Millisecond
		p.OnEnd(s)
	}
	if _, a := observe(t, p); a.Groups[0].P99 > 2*time.Second {
		t.Errorf("99th percentile %v", a.Groups[0].P99)
	}
	old := root(1, 1000, "backfill") // both times are in the past
	old.start, old.took = old.start.Add(-time.Hour), time.Minute
	p.OnStart(t.Context(), old)
	p.OnEnd(old)
	if _, a := observe(t, p); a.Groups[0].P99 < time.Minute {
		t.Errorf("%+v", a.Groups[0])
	}
}
