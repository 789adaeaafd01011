// SPDX-License-Identifier: Apache-2.0

package tracectx_test

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"runtime/pprof"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/gmpulse/gmpulse/tracectx"
)

// The work of Do counts and has labels like a root, also if it panics.
func TestDo(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // it would shrink the stack
	growStack(100)                                   // labels stay if the stack moves
	p := newProcessor(t, tracectx.Config{})
	if p.Attached() {
		t.Error("attached before any span")
	}
	n := newWaiters(t)
	work := func(then func(ctx context.Context)) {
		p.Do(t.Context(), "refresh", func(ctx context.Context) {
			n.spawn()
			if root, ok := pprof.Label(ctx, tracectx.RootLabel); !ok || root != "refresh" {
				t.Errorf("the context has %q", root)
			}
			a := expect(t, p, counts{active: 1, started: p.Observe(time.Now()).Started, ended: p.Observe(time.Now()).Ended})
			if a.Active[0].Name != "refresh" || a.Active[0].Sampled || a.Active[0].TraceID != [16]byte{} {
				t.Errorf("active %+v", a.Active)
			}
			then(ctx)
		})
	}
	work(func(context.Context) {})
	n.spawn()
	boom := errors.New("boom")
	func() {
		defer func() {
			if got := recover(); got != boom { //nolint:errorlint // the same value
				t.Errorf("recovered %v", got)
			}
		}()
		work(func(context.Context) { panic(boom) })
	}()
	n.spawn()
	work(func(ctx context.Context) {
		tracectx.SetName(ctx, "refresh prices")
		n.spawn()
	})
	tracectx.SetName(t.Context(), "no work") // has no effect
	if got := rootsOfWaiters(t); got["refresh"] != 3 || got["refresh prices"] != 1 || got[""] != 2 {
		t.Errorf("goroutines by root: %v", got)
	}
	a := expect(t, p, counts{started: 3, ended: 3})
	if got := fmt.Sprint(endedOf(a)); got != "map[refresh:2 refresh prices:1]" {
		t.Errorf("ended %v", got)
	}
	if !p.Attached() {
		t.Error("not attached after work")
	}
}

// Spans inside work, and work inside spans, do not count. The first span gives the example
// of the work its ids.
func TestDoAndSpansCountOnce(t *testing.T) {
	for name, wrap := range map[string]bool{"registered": false, "wrapped": true} {
		t.Run(name, func(t *testing.T) {
			p := newProcessor(t, tracectx.Config{})
			tp := newProvider(t, sdktrace.WithSpanProcessor(p))
			tracer := tp.Tracer("")
			if wrap {
				tracer = p.WrapTracerProvider(newProvider(t)).Tracer("")
			}
			var late context.Context
			var id [16]byte
			p.Do(t.Context(), "job", func(ctx context.Context) {
				late = ctx //nolint:fatcontext // used after the work has ended
				_, span := tracer.Start(ctx, "span")
				id = span.SpanContext().TraceID()
				span.End()
				p.Do(ctx, "inner", func(context.Context) {})
			})
			expect(t, p, counts{started: 1, ended: 1})
			if o, _ := p.Origin("job", "0"); len(o.Examples) != 1 || o.Examples[0].TraceID != id || o.Examples[0].Name != "job" {
				t.Errorf("examples %+v", o.Examples)
			}
			ctx, span := tracer.Start(t.Context(), "GET /")
			p.Do(ctx, "part", func(context.Context) {})
			span.End()
			expect(t, p, counts{started: 2, ended: 2})
			_, span = tracer.Start(late, "after the job") // counts: the job has ended
			span.End()
			expect(t, p, counts{started: 3, ended: 3})
		})
	}
}

func TestAttached(t *testing.T) {
	p := newProcessor(t, tracectx.Config{})
	tp := newProvider(t)
	if p.Attach(tp); !p.Attached() {
		t.Error("not attached to a provider")
	}
	if err := tp.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if p.Attached() {
		t.Error("attached to a provider that has shut down")
	}
	p.OnStart(t.Context(), root(1, 1, "a"))
	observe(t, p)
	if !p.Attached() {
		t.Error("not attached after a root")
	}
}

// growStack grows the goroutine's stack, so that later calls do not move it.
func growStack(n int) byte {
	var frame [1024]byte
	if n > 0 {
		frame[n%len(frame)] = growStack(n - 1)
	}
	return frame[0]
}
