// SPDX-License-Identifier: Apache-2.0

package tracectx_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/gmpulse/gmpulse/internal/testutil"
	"github.com/gmpulse/gmpulse/tracectx"
)

func endedOf(a tracectx.Activity) map[string]uint64 {
	ended := map[string]uint64{}
	for _, g := range a.Groups {
		if g.Ended > 0 {
			ended[g.Name] = g.Ended
		}
	}
	return ended
}

// Spans count under their final names, and Origin returns the final names of the spans
// that began under a name.
func TestRenamedSpansCountUnderTheFinalName(t *testing.T) {
	p := newProcessor(t, tracectx.Config{})
	tracer := newProvider(t, sdktrace.WithSpanProcessor(p)).Tracer("")
	for i, name := range strings.Fields("a b a c a b a a") {
		_, span := tracer.Start(t.Context(), "GET")
		if name != "c" {
			span.SetName("GET /" + name)
		}
		span.End()
		_, plain := tracer.Start(t.Context(), fmt.Sprint("plain", i%2))
		plain.End()
	}
	_, a := observe(t, p)
	want := map[string]uint64{"GET /a": 5, "GET /b": 2, "GET": 1, "plain0": 4, "plain1": 4}
	if got := endedOf(a); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("ended %v, want %v", got, want)
	}
	o, ok := p.Origin("GET", "0")
	if got := fmt.Sprint(o.Ended); !ok || got != "[{GET /a 5} {GET /b 2} {GET 1}]" {
		t.Errorf("ended %s, %v", got, ok)
	}
	if o, _ := p.Origin("plain0", "0"); len(o.Ended) != 0 {
		t.Errorf("final names %v of a name without renamed spans", o.Ended)
	}
}

// Final names belong to the epoch in which the spans began.
func TestFinalNamesByEpoch(t *testing.T) {
	p := newProcessor(t, tracectx.Config{})
	start := time.Now()
	end := func(i uint64, name string) {
		s := root(1, i, name)
		p.OnEnd(s)
	}
	for i := range uint64(4) {
		p.OnStart(t.Context(), root(1, i+1, "GET"))
	}
	p.Observe(start.Add(time.Minute))
	for i := range uint64(4) {
		p.OnStart(t.Context(), root(1, i+11, "GET"))
	}
	for i := range uint64(4) {
		end(i+1, "GET /old")
		end(i+11, "GET /new")
	}
	p.Observe(start.Add(time.Minute))
	for epoch, want := range map[string]string{"0": "[{GET /old 4}]", "60": "[{GET /new 4}]"} {
		if o, _ := p.Origin("GET", epoch); fmt.Sprint(o.Ended) != want {
			t.Errorf("epoch %s: %v, want %s", epoch, o.Ended, want)
		}
	}
}

func TestFinalNamesAreBounded(t *testing.T) {
	p := newProcessor(t, tracectx.Config{})
	for i := range uint64(300) {
		p.OnStart(t.Context(), root(1, i+1, "GET"))
		p.OnEnd(root(1, i+1, fmt.Sprint("GET /", i)))
	}
	p.Observe(time.Now())
	o, _ := p.Origin("GET", "0")
	var sum uint64
	for _, n := range o.Ended {
		sum += n.Count
	}
	if len(o.Ended) > 32 || sum < 290 {
		t.Errorf("%d names of %d spans", len(o.Ended), sum)
	}
}

// With a wrapped provider, a root counts under a new name at once, and goroutines started
// from then on inherit it.
func TestSetNameOfAWrappedRoot(t *testing.T) {
	for name := range providers(t, newProcessor(t, tracectx.Config{})) {
		t.Run(name, func(t *testing.T) {
			p := newProcessor(t, tracectx.Config{})
			tracer := p.WrapTracerProvider(providers(t, p)[name]).Tracer("")
			fixStack(t, tracer)
			n := newWaiters(t)
			ctx, span := tracer.Start(t.Context(), "GET")
			n.spawn()
			span.SetName("GET /export/{id}")
			n.spawn()
			_, child := tracer.Start(ctx, "child")
			child.End()
			if _, a := observe(t, p); len(a.Active) != 1 || a.Active[0].Name != "GET /export/{id}" {
				t.Errorf("active %+v", a.Active)
			}
			span.End()
			n.spawn()
			if got := rootsOfWaiters(t); got["GET"] != 1 || got["GET /export/{id}"] != 1 || got[""] != 1 {
				t.Errorf("goroutines by root: %v", got)
			}
			_, a := observe(t, p)
			if got := endedOf(a); got["GET /export/{id}"] != 1 || got["GET"] != 0 {
				t.Errorf("ended %v", got)
			}
			if o, _ := p.Origin("GET", "0"); fmt.Sprint(o.Ended) != "[{GET /export/{id} 1}]" {
				t.Errorf("ended %v", o.Ended)
			}
			span.SetName("late")
			expect(t, p, counts{started: 3, ended: 3})
		})
	}
}

// The SDK counts the children of a wrapped root.
func TestChildrenOfAWrappedRoot(t *testing.T) {
	p := newProcessor(t, tracectx.Config{})
	var end keepEnd
	tracer := p.WrapTracerProvider(newProvider(t, sdktrace.WithSpanProcessor(&end))).Tracer("")
	ctx, span := tracer.Start(t.Context(), "GET")
	for range 2 {
		_, child := tracer.Start(ctx, "child")
		child.End()
	}
	span.End()
	if n := end.snapshot.ChildSpanCount(); n != 2 {
		t.Errorf("%d children", n)
	}
	if _, ok := span.(sdktrace.ReadOnlySpan); !ok {
		t.Error("a recorded span does not implement ReadOnlySpan")
	}
}

func TestRenamingDoesNotAllocate(t *testing.T) {
	if testutil.RaceEnabled {
		t.Skip("the race detector allocates")
	}
	p := newProcessor(t, tracectx.Config{})
	ctx := t.Context()
	s, e := root(1, 1, "GET"), [2]*fakeSpan{root(1, 1, "GET /a"), root(1, 1, "GET /b")}
	i := 0
	if n := testing.AllocsPerRun(1000, func() { p.OnStart(ctx, s); p.OnEnd(e[i%2]); i++ }); n != 0 {
		t.Errorf("%v allocations per renamed root", n)
	}
	if o, _ := p.Origin("GET", "0"); len(o.Ended) != 2 {
		t.Errorf("unexpected final names: %v", o.Ended)
	}
}
