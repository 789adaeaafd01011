// SPDX-License-Identifier: Apache-2.0

package tracectx

import (
	"context"
	"runtime/pprof"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// With a toolchain whose labels cannot be read, roots still label their goroutines, and the goroutines
// that these start.
func TestLabelsThatCannotBeRead(t *testing.T) {
	p, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	reader := p.labeller.reader
	if reader == nil {
		t.Skip("this test reads labels")
	}
	p.labeller.reader = nil
	expect := func(when, root, app string) {
		t.Helper()
		labels := reader.context(runtimeLabels())
		gotRoot, _ := pprof.Label(labels, RootLabel)
		gotApp, _ := pprof.Label(labels, "app")
		if gotRoot != root || gotApp != app {
			t.Errorf("%s: labels %q and %q, want %q and %q", when, gotRoot, gotApp, root, app)
		}
	}
	tp := sdktrace.NewTracerProvider()
	tracer := p.WrapTracerProvider(tp).Tracer("")
	serve := func(ctx context.Context, app string) {
		within, span := tracer.Start(ctx, "request")
		expect("in the root", "request", app)
		done := make(chan struct{})
		go func() {
			defer close(done)
			expect("in a goroutine of the root", "request", app)
		}()
		<-done
		pprof.Do(within, pprof.Labels("more", "x"), func(context.Context) { expect("in pprof.Do", "request", app) })
		span.End()
		expect("after the root", "", app)
	}
	serve(t.Context(), "")
	pprof.Do(t.Context(), pprof.Labels("app", "shop"), func(ctx context.Context) { serve(ctx, "shop") })

	_, span := tracer.Start(t.Context(), "old")
	span.SetName("new")
	expect("after SetName", "new", "")
	span.End()
	if err := tp.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}
