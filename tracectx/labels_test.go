// SPDX-License-Identifier: Apache-2.0

package tracectx_test

import (
	"context"
	"math"
	"runtime/debug"
	"runtime/pprof"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/gmpulse/gmpulse/runtimeinfo"
	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines"
	"github.com/gmpulse/gmpulse/tracectx"
)

// waiters are goroutines that wait until the end of a test.
type waiters struct {
	stop chan struct{}
	wg   sync.WaitGroup
}

// newWaiters returns waiters that stop at the end of the test.
func newWaiters(t *testing.T) *waiters {
	t.Helper()
	n := &waiters{stop: make(chan struct{})}
	t.Cleanup(func() {
		close(n.stop)
		n.wg.Wait()
	})
	return n
}

// fixStack prevents the stack of the calling goroutine from moving: it grows the stack by
// starting spans, and turns off the garbage collector, which shrinks stacks. If a stack
// moves during a span, the labels are not restored.
func fixStack(t *testing.T, tracer trace.Tracer) {
	t.Helper()
	percent := debug.SetGCPercent(-1)
	t.Cleanup(func() { debug.SetGCPercent(percent) })
	ownLabels(t) // needs more stack than the spans
	for range 2 {
		_, span := tracer.Start(t.Context(), "warm")
		span.End()
	}
}

// spawn starts a goroutine that waits. It inherits the labels of its creator.
func (n *waiters) spawn() {
	runs := make(chan struct{})
	n.wg.Go(func() {
		close(runs)
		<-n.stop
	})
	<-runs
}

// rootsOfWaiters counts the goroutines that spawn started, by root label.
func rootsOfWaiters(t *testing.T) map[string]int {
	t.Helper()
	s, err := goroutines.TakeSurvey(t.Context(), goroutines.SurveyConfig{RootLabel: tracectx.RootLabel})
	if err != nil {
		t.Fatal(err)
	}
	roots := map[string]int{}
	for i := range s.Groups {
		if strings.HasSuffix(s.Groups[i].Entry, "tracectx_test.(*waiters).spawn.func1") {
			for _, b := range s.Groups[i].Origins {
				roots[b.Root] += b.Count
			}
		}
	}
	return roots
}

// Goroutines started under a root span, also under its children, inherit its name.
// Goroutines started after its end do not.
func TestGoroutinesInheritTheRootName(t *testing.T) {
	p := newProcessor(t, tracectx.Config{})
	tracer := newProvider(t, sdktrace.WithSpanProcessor(p)).Tracer("")
	fixStack(t, tracer)
	n := newWaiters(t)
	n.spawn() // before
	ctx, span := tracer.Start(t.Context(), "GET /checkout")
	n.spawn()
	_, child := tracer.Start(ctx, "query")
	n.spawn()
	child.End()
	n.spawn()
	span.End()
	n.spawn() // after
	_, other := tracer.Start(t.Context(), "GET /search")
	n.spawn()
	other.End()

	got := rootsOfWaiters(t)
	if got["GET /checkout"] != 3 || got["GET /search"] != 1 || got[""] != 2 || len(got) != 3 {
		t.Errorf("goroutines by root: %v", got)
	}
}

func TestNoLabelsSetsNone(t *testing.T) {
	p := newProcessor(t, tracectx.Config{NoLabels: true})
	tracer := newProvider(t, sdktrace.WithSpanProcessor(p)).Tracer("")
	n := newWaiters(t)
	_, span := tracer.Start(t.Context(), "GET /")
	n.spawn()
	span.End()
	if got := rootsOfWaiters(t); got[""] != 1 || len(got) != 1 {
		t.Errorf("goroutines by root: %v", got)
	}
}

// The application's labels are kept during the span and after it.
func TestLabelsOfTheApplicationAreKept(t *testing.T) {
	p := newProcessor(t, tracectx.Config{})
	tracer := newProvider(t, sdktrace.WithSpanProcessor(p)).Tracer("")
	fixStack(t, tracer)
	n := newWaiters(t)
	pprof.Do(t.Context(), pprof.Labels("tenant", "acme"), func(ctx context.Context) {
		_, span := tracer.Start(ctx, "GET /")
		n.spawn()
		span.End()
		n.spawn()
	})
	s, err := goroutines.TakeSurvey(t.Context(), goroutines.SurveyConfig{RootLabel: tracectx.RootLabel, EpochLabel: "tenant"})
	if err != nil {
		t.Fatal(err)
	}
	var with, after int
	for i := range s.Groups {
		if !strings.HasSuffix(s.Groups[i].Entry, "tracectx_test.(*waiters).spawn.func1") {
			continue
		}
		for _, b := range s.Groups[i].Origins {
			switch {
			case b.Root == "GET /" && b.Epoch == "acme":
				with += b.Count
			case b.Root == "" && b.Epoch == "acme":
				after += b.Count
			}
		}
	}
	if with != 1 || after != 1 {
		t.Errorf("%d goroutines with both labels, %d with the application's only", with, after)
	}
}

func TestEndOnAnotherGoroutineKeepsItsLabels(t *testing.T) {
	p := newProcessor(t, tracectx.Config{})
	tracer := newProvider(t, sdktrace.WithSpanProcessor(p)).Tracer("")
	n := newWaiters(t)
	_, theirs := tracer.Start(t.Context(), "POST /theirs")
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, own := tracer.Start(context.Background(), "GET /own")
		theirs.End()
		n.spawn()
		own.End()
	}()
	<-done
	if got := rootsOfWaiters(t); got["GET /own"] != 1 {
		t.Errorf("goroutines by root: %v", got)
	}
}

func TestOriginOfActiveSpan(t *testing.T) {
	p := newProcessor(t, tracectx.Config{})
	tracer := newProvider(t, sdktrace.WithSpanProcessor(p)).Tracer("")
	_, span := tracer.Start(t.Context(), "GET /")
	defer span.End()
	o, ok := p.Origin("GET /", "0")
	if !ok || o.To.Sub(o.From) != 10*time.Second || time.Since(o.From) > 10*time.Second {
		t.Fatalf("origin %+v, %v", o, ok)
	}
	if len(o.Examples) != 1 || o.Examples[0].TraceIDString() != span.SpanContext().TraceID().String() {
		t.Errorf("examples %+v", o.Examples)
	}
	for _, bad := range [][2]string{{"GET /", "x"}, {"GET /", "-10"}, {"nobody", "0"}} {
		if o, ok := p.Origin(bad[0], bad[1]); ok {
			t.Errorf("%q: %+v", bad, o)
		}
	}
}

// A span that reports a start in a hundred years does not affect the epoch of others.
func TestFutureStart(t *testing.T) {
	p := newProcessor(t, tracectx.Config{})
	tracer := newProvider(t, sdktrace.WithSpanProcessor(p)).Tracer("")
	n := newWaiters(t)
	_, far := tracer.Start(t.Context(), "GET /", trace.WithTimestamp(time.Now().AddDate(100, 0, 0)))
	defer far.End()
	_, span := tracer.Start(t.Context(), "GET /")
	defer span.End()
	n.spawn()
	s, err := goroutines.TakeSurvey(t.Context(), goroutines.SurveyConfig{RootLabel: tracectx.RootLabel, EpochLabel: tracectx.EpochLabel})
	if err != nil {
		t.Fatal(err)
	}
	for i := range s.Groups {
		for _, b := range s.Groups[i].Origins {
			if o, ok := p.Origin(b.Root, b.Epoch); ok && time.Until(o.From) > 2*time.Minute {
				t.Errorf("created %v from now", time.Until(o.From))
			}
		}
	}
}

// Label values fit the limit of profilers outside the process.
func TestLongNamesAreCut(t *testing.T) {
	p := newProcessor(t, tracectx.Config{})
	tracer := newProvider(t, sdktrace.WithSpanProcessor(p)).Tracer("")
	n := newWaiters(t)
	_, span := tracer.Start(t.Context(), "获取"+strings.Repeat("订单", 40))
	n.spawn()
	span.End()
	for root := range rootsOfWaiters(t) {
		if root == "" || len(root) > 47 || !strings.HasPrefix(root, "获取") || strings.ContainsRune(root, '\uFFFD') {
			t.Errorf("label %q", root)
		}
		if o, ok := p.Origin(root, "0"); !ok || len(o.Names) != 1 || o.Names[0] != "获取"+strings.Repeat("订单", 40) {
			t.Errorf("origin of %q: %+v, %v", root, o, ok)
		}
	}
}

// Durations and errors are cumulative, and a histogram is not changed once it is returned. Observations
// within five seconds share it.
func TestDurations(t *testing.T) {
	p := newProcessor(t, tracectx.Config{})
	end := func(took time.Duration, status codes.Code) {
		s := root(1, 1, "GET /")
		p.OnStart(t.Context(), s)
		s.took, s.status = took, status
		p.OnEnd(s)
	}
	now := time.Now()
	group := func(after time.Duration) runtimeinfo.SpanGroup { return p.Observe(now.Add(after)).Groups[0] }
	for _, status := range []codes.Code{codes.Error, codes.Error, codes.Ok, codes.Unset} {
		end(time.Millisecond, status)
	}
	first := group(0)
	if first.Ended != 4 || first.Errors != 2 || first.Durations.Count() != 4 || math.Abs(first.Durations.Sum-0.004) > 1e-9 {
		t.Errorf("group %+v, durations %+v", first, first.Durations)
	}
	if group(10*time.Second).Durations != first.Durations {
		t.Error("a new histogram without a new span")
	}
	end(100*time.Millisecond, codes.Error)
	second := group(11 * time.Second)
	if second.Durations.Count() != 5 || first.Durations.Count() != 4 {
		t.Errorf("durations %+v, before %+v", second.Durations, first.Durations)
	}
	end(100*time.Millisecond, codes.Error)
	if g := group(15 * time.Second); g.Ended != 6 || g.Errors != 4 || g.Durations != second.Durations {
		t.Errorf("4 s later %+v, durations %+v", g, g.Durations)
	}
	g := group(16 * time.Second)
	h := g.Durations
	if g.Errors != 4 || h.Count() != 6 || math.Abs(h.Sum-0.204) > 1e-9 {
		t.Errorf("group %+v, durations %+v", g, h)
	}
	if n := len(h.Bounds); len(h.Counts) != n+1 || h.Counts[0] != 4 || h.Counts[n-1] != 2 || h.Counts[n] != 0 ||
		h.Bounds[0] < 0.001 || h.Bounds[0] > 0.00126 || h.Bounds[n-1] < 0.1 || h.Bounds[n-1] > 0.126 {
		t.Errorf("bounds %v, counts %v", h.Bounds, h.Counts)
	}
}

func TestQuantilesOfDurations(t *testing.T) {
	p := newProcessor(t, tracectx.Config{})
	for i := range 100 {
		s := root(1, uint64(i+1), "GET /")
		p.OnStart(t.Context(), s)
		s.took = time.Millisecond
		if i >= 95 {
			s.took = time.Second
		}
		p.OnEnd(s)
	}
	_, a := observe(t, p)
	if len(a.Groups) != 1 || a.Groups[0].Ended != 100 {
		t.Fatalf("groups %+v", a.Groups)
	}
	if g := a.Groups[0]; g.P50 < time.Millisecond || g.P50 > 2*time.Millisecond || g.P99 < time.Second || g.P99 > 2*time.Second {
		t.Errorf("p50 %v, p99 %v", g.P50, g.P99)
	}
	if g := p.Observe(time.Now().Add(time.Hour)).Groups; len(g) != 1 || g[0].P99 != 0 || g[0].Ended != 100 {
		t.Errorf("an hour later %+v", g)
	}
}
