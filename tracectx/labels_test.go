// SPDX-License-Identifier: Apache-2.0

package tracectx_test

import (
	"context"
	"runtime/debug"
	"runtime/pprof"
	"strings"
	"sync"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines"
	"github.com/gmpulse/gmpulse/tracectx"
)

// nursery is the goroutines of one test.
type nursery struct {
	stop chan struct{}
	wg   sync.WaitGroup
}

// newNursery ends its goroutines, and waits for them, with the test.
func newNursery(t *testing.T) *nursery {
	t.Helper()
	n := &nursery{stop: make(chan struct{})}
	t.Cleanup(func() {
		close(n.stop)
		n.wg.Wait()
	})
	return n
}

// still keeps the stack of the calling goroutine where it is: it grows it by one
// span, and lets no collection shrink it. A stack that moves during a span keeps
// the labels from being restored.
func still(t *testing.T, tracer trace.Tracer) {
	t.Helper()
	percent := debug.SetGCPercent(-1)
	t.Cleanup(func() { debug.SetGCPercent(percent) })
	for range 2 {
		_, span := tracer.Start(t.Context(), "warm")
		span.End()
	}
}

// spawn starts a goroutine that does nothing but be there; its labels are those
// of the goroutine that started it.
func (n *nursery) spawn() {
	runs := make(chan struct{})
	n.wg.Go(func() {
		close(runs)
		<-n.stop
	})
	<-runs
}

// born surveys what spawn started, by root label.
func born(t *testing.T) map[string]int {
	t.Helper()
	s, err := goroutines.TakeSurvey(t.Context(), goroutines.SurveyConfig{RootLabel: tracectx.RootLabel})
	if err != nil {
		t.Fatal(err)
	}
	roots := map[string]int{}
	for i := range s.Groups {
		if strings.HasSuffix(s.Groups[i].Entry, "tracectx_test.(*nursery).spawn.func1") {
			for _, b := range s.Groups[i].Origins {
				roots[b.Root] += b.Count
			}
		}
	}
	return roots
}

// Goroutines started under a root span carry its name; those started after its
// end, and those of child spans' own, do not carry another.
func TestGoroutinesInheritTheRootsName(t *testing.T) {
	p := newProcessor(t, tracectx.Config{})
	tracer := newProvider(t, sdktrace.WithSpanProcessor(p)).Tracer("")
	still(t, tracer)
	n := newNursery(t)
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

	got := born(t)
	if got["GET /checkout"] != 3 || got["GET /search"] != 1 || got[""] != 2 || len(got) != 3 {
		t.Errorf("goroutines by root: %v", got)
	}
}

func TestNoLabels(t *testing.T) {
	p := newProcessor(t, tracectx.Config{NoLabels: true})
	tracer := newProvider(t, sdktrace.WithSpanProcessor(p)).Tracer("")
	n := newNursery(t)
	_, span := tracer.Start(t.Context(), "GET /")
	n.spawn()
	span.End()
	if got := born(t); got[""] != 1 || len(got) != 1 {
		t.Errorf("goroutines by root: %v", got)
	}
}

// The application's own labels are kept beside ours, and are what remains.
func TestLabelsOfTheApplication(t *testing.T) {
	p := newProcessor(t, tracectx.Config{})
	tracer := newProvider(t, sdktrace.WithSpanProcessor(p)).Tracer("")
	still(t, tracer)
	n := newNursery(t)
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
		if !strings.HasSuffix(s.Groups[i].Entry, "tracectx_test.(*nursery).spawn.func1") {
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
		t.Errorf("%d goroutines with both labels, %d with the application's alone", with, after)
	}
}

// A span that ends on another goroutine leaves that goroutine's labels alone.
func TestEndElsewhere(t *testing.T) {
	p := newProcessor(t, tracectx.Config{})
	tracer := newProvider(t, sdktrace.WithSpanProcessor(p)).Tracer("")
	n := newNursery(t)
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
	if got := born(t); got["GET /own"] != 1 {
		t.Errorf("goroutines by root: %v", got)
	}
}

func TestOrigin(t *testing.T) {
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

// A span that claims to begin in a hundred years does not take the others along.
func TestFutureStart(t *testing.T) {
	p := newProcessor(t, tracectx.Config{})
	tracer := newProvider(t, sdktrace.WithSpanProcessor(p)).Tracer("")
	n := newNursery(t)
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

// Long names are cut to what profilers outside the process can read.
func TestLongName(t *testing.T) {
	p := newProcessor(t, tracectx.Config{})
	tracer := newProvider(t, sdktrace.WithSpanProcessor(p)).Tracer("")
	n := newNursery(t)
	_, span := tracer.Start(t.Context(), "获取"+strings.Repeat("订单", 40))
	n.spawn()
	span.End()
	for root := range born(t) {
		if root == "" || len(root) > 47 || !strings.HasPrefix(root, "获取") || strings.ContainsRune(root, '\uFFFD') {
			t.Errorf("label %q", root)
		}
		if o, ok := p.Origin(root, "0"); !ok || len(o.Names) != 1 || o.Names[0] != "获取"+strings.Repeat("订单", 40) {
			t.Errorf("origin of %q: %+v, %v", root, o, ok)
		}
	}
}

func TestDurations(t *testing.T) {
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
