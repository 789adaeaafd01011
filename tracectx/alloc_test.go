// SPDX-License-Identifier: Apache-2.0

package tracectx_test

import (
	"context"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/gmpulse/gmpulse/internal/testutil"
	"github.com/gmpulse/gmpulse/tracectx"
)

// empty is a processor that does nothing. Its cost is the cost of the first processor of a
// provider.
type empty struct{}

func (empty) OnStart(context.Context, sdktrace.ReadWriteSpan) {}
func (empty) OnEnd(sdktrace.ReadOnlySpan)                     {}
func (empty) Shutdown(context.Context) error                  { return nil }
func (empty) ForceFlush(context.Context) error                { return nil }

// prebuilt returns a live span of the SDK, and the snapshot that End passes to processors.
func prebuilt(tb testing.TB, ctx context.Context) (sdktrace.ReadWriteSpan, sdktrace.ReadOnlySpan) {
	tb.Helper()
	var end keepEnd
	tracer := newProvider(tb, sdktrace.WithSpanProcessor(&end)).Tracer("")
	_, ended := tracer.Start(ctx, "GET /")
	ended.End()
	return ended.(sdktrace.ReadWriteSpan), end.snapshot
}

type keepEnd struct {
	empty
	snapshot sdktrace.ReadOnlySpan
}

func (k *keepEnd) OnEnd(span sdktrace.ReadOnlySpan) { k.snapshot = span }

func TestOnStartAndOnEndDoNotAllocate(t *testing.T) {
	if testutil.RaceEnabled {
		t.Skip("the race detector allocates")
	}
	p := newProcessor(t, tracectx.Config{})
	ctx := t.Context()
	start, end := prebuilt(t, ctx)
	if n := testing.AllocsPerRun(1000, func() { p.OnStart(ctx, start); p.OnEnd(end) }); n != 0 {
		t.Errorf("%v allocations per root", n)
	}
	if c, _ := observe(t, p); c.ended != 1001 {
		t.Errorf("unexpected counts: %+v", c)
	}
	start, end = prebuilt(t, trace.ContextWithSpanContext(ctx, spanContext(1, 1)))
	if n := testing.AllocsPerRun(1000, func() { p.OnStart(ctx, start); p.OnEnd(end) }); n != 0 {
		t.Errorf("%v allocations per child", n)
	}
	if c, _ := observe(t, p); c.started != 1001 {
		t.Errorf("unexpected counts: %+v", c)
	}
}

func TestSpanAllocatesNoMoreThanWithAnEmptyProcessor(t *testing.T) {
	if testutil.RaceEnabled {
		t.Skip("the race detector allocates")
	}
	allocs := func(sp sdktrace.SpanProcessor) float64 {
		tracer, ctx := newProvider(t, sdktrace.WithSpanProcessor(sp)).Tracer(""), t.Context()
		return testing.AllocsPerRun(1000, func() {
			_, span := tracer.Start(ctx, "GET /")
			span.End()
		})
	}
	without, with := allocs(empty{}), allocs(newProcessor(t, tracectx.Config{}))
	if with != without || without == 0 {
		t.Errorf("%v allocations per span, %v without", with, without)
	}
}

func TestObserveAllocatesItsResultOnly(t *testing.T) {
	if testutil.RaceEnabled {
		t.Skip("the race detector allocates")
	}
	p := newProcessor(t, tracectx.Config{})
	if n := testing.AllocsPerRun(100, func() { p.Observe(time.Now()) }); n != 0 {
		t.Errorf("%v allocations with nothing active", n)
	}
	for i := range uint64(2000) {
		p.OnStart(t.Context(), root(1, i+1, "a"))
	}
	if n := testing.AllocsPerRun(100, func() { p.Observe(time.Now()) }); n > 2 {
		t.Errorf("%v allocations, want 2: the spans and the groups", n)
	}
}
