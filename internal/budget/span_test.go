// SPDX-License-Identifier: Apache-2.0

package budget

import (
	"context"
	"sync"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/gmpulse/gmpulse/tracectx"
)

// looker asks a span for all that has to be known of it and forgets it. The SDK's
// locks make that more than half of what any processor of this kind costs.
type looker struct{ sum int64 }

func (l *looker) OnStart(_ context.Context, s sdktrace.ReadWriteSpan) {
	if s.Parent().HasSpanID() {
		return
	}
	id := s.SpanContext()
	span, traceID := id.SpanID(), id.TraceID()
	l.sum += int64(len(s.Name())) + int64(span[0]) + int64(traceID[0]) + s.StartTime().UnixNano()
}

func (l *looker) OnEnd(s sdktrace.ReadOnlySpan) {
	if s.Parent().HasSpanID() {
		return
	}
	id := s.SpanContext()
	span, traceID := id.SpanID(), id.TraceID()
	l.sum += int64(span[0]) + int64(traceID[0]) + s.EndTime().UnixNano()
}

func (*looker) Shutdown(context.Context) error   { return nil }
func (*looker) ForceFlush(context.Context) error { return nil }

// keeper keeps the last span that started and what its end looked like.
type keeper struct {
	looker
	start sdktrace.ReadWriteSpan
	end   sdktrace.ReadOnlySpan
}

func (k *keeper) OnStart(_ context.Context, s sdktrace.ReadWriteSpan) { k.start = s }
func (k *keeper) OnEnd(s sdktrace.ReadOnlySpan)                       { k.end = s }

// calls returns start and end of a span as p gets them, without what the SDK does.
func calls(ctx context.Context, p sdktrace.SpanProcessor) func() {
	k := &keeper{}
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(k))
	_, span := provider.Tracer("").Start(ctx, "GET /")
	span.End()
	end := k.end
	provider.Tracer("").Start(ctx, "GET /") //nolint:spancheck // it stays open: an ended one answers differently
	start := &both{k.start, end}
	return func() {
		p.OnStart(ctx, start)
		p.OnEnd(end)
	}
}

// both is an open span with the identity of the one that ended.
type both struct {
	sdktrace.ReadWriteSpan
	ended sdktrace.ReadOnlySpan
}

func (b *both) SpanContext() trace.SpanContext { return b.ended.SpanContext() }

func processor(tb testing.TB, c tracectx.Config) *tracectx.Processor {
	tb.Helper()
	p, err := tracectx.New(c)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func child() context.Context {
	return trace.ContextWithSpanContext(context.Background(), trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1}, SpanID: trace.SpanID{1}, TraceFlags: trace.FlagsSampled,
	}))
}

func rootToLook(tb testing.TB) float64 {
	tb.Helper()
	ctx := context.Background()
	return ratio(calls(ctx, &looker{}), calls(ctx, processor(tb, tracectx.Config{})))
}

// rootInCrowd looks for what grows with the number of active spans.
func rootInCrowd(tb testing.TB) float64 {
	tb.Helper()
	ctx := context.Background()
	alone, crowded := processor(tb, tracectx.Config{}), processor(tb, tracectx.Config{})
	crowd(crowded, 2000)
	return ratio(calls(ctx, alone), calls(ctx, crowded))
}

// crowd starts spans of four names that stay active.
func crowd(p sdktrace.SpanProcessor, n int) {
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(p)).Tracer("")
	for i := range n {
		tracer.Start(context.Background(), [...]string{"GET /a", "GET /b", "GET /c", "GET /d"}[i%4]) //nolint:spancheck // they stay active
	}
}

func childToLook(tb testing.TB) float64 {
	tb.Helper()
	return ratio(calls(child(), &looker{}), calls(child(), processor(tb, tracectx.Config{})))
}

func rootAllocations(tb testing.TB) float64 {
	tb.Helper()
	p := processor(tb, tracectx.Config{})
	n := allocations(calls(context.Background(), p))
	if a := p.Observe(time.Now()); a.Ended == 0 || a.Ended != a.Started {
		tb.Errorf("measured something else: %+v", a)
	}
	return n
}

const scanned = 5000

func scan(tb testing.TB) func() {
	tb.Helper()
	p := processor(tb, tracectx.Config{Capacity: 2 * scanned})
	crowd(p, scanned)
	if a := p.Observe(time.Now()); a.Started != scanned || a.Untracked != 0 {
		tb.Errorf("measured something else: %+v", a)
	}
	return func() { p.Observe(time.Now()) }
}

func scanToRange(tb testing.TB) float64 {
	tb.Helper()
	var m sync.Map
	for i := range scanned {
		m.Store(trace.SpanID{byte(i), byte(i >> 8)}, i)
	}
	return ratio(func() { m.Range(func(any, any) bool { return true }) }, scan(tb))
}

func scanAllocations(tb testing.TB) float64 {
	tb.Helper()
	return allocations(scan(tb))
}
