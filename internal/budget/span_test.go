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

// reading is a span processor that only reads the fields that gmpulse needs. The
// SDK's locks make this more than half of the cost of any such processor.
type reading struct{ sum int64 }

func (l *reading) OnStart(_ context.Context, s sdktrace.ReadWriteSpan) {
	if s.Parent().HasSpanID() {
		return
	}
	id := s.SpanContext()
	span, traceID := id.SpanID(), id.TraceID()
	l.sum += int64(len(s.Name())) + int64(span[0]) + int64(traceID[0]) + s.StartTime().UnixNano()
}

func (l *reading) OnEnd(s sdktrace.ReadOnlySpan) {
	if s.Parent().HasSpanID() {
		return
	}
	id := s.SpanContext()
	span, traceID := id.SpanID(), id.TraceID()
	l.sum += int64(span[0]) + int64(traceID[0]) + s.EndTime().UnixNano()
}

func (*reading) Shutdown(context.Context) error   { return nil }
func (*reading) ForceFlush(context.Context) error { return nil }

// capture records the arguments of its last calls.
type capture struct {
	reading
	start sdktrace.ReadWriteSpan
	end   sdktrace.ReadOnlySpan
}

func (c *capture) OnStart(_ context.Context, s sdktrace.ReadWriteSpan) { c.start = s }
func (c *capture) OnEnd(s sdktrace.ReadOnlySpan)                       { c.end = s }

// calls returns a function that calls p's OnStart and OnEnd with a span of the SDK,
// without the rest of the SDK's work.
func calls(ctx context.Context, p sdktrace.SpanProcessor) func() {
	c := &capture{}
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(c))
	_, span := provider.Tracer("").Start(ctx, "GET /")
	span.End()
	end := c.end
	provider.Tracer("").Start(ctx, "GET /") //nolint:spancheck // stays open: the methods of an ended span behave differently
	start := &openSpan{c.start, end}
	return func() {
		p.OnStart(ctx, start)
		p.OnEnd(end)
	}
}

// openSpan is an open span with the span context of one that has ended.
type openSpan struct {
	sdktrace.ReadWriteSpan
	ended sdktrace.ReadOnlySpan
}

func (s *openSpan) SpanContext() trace.SpanContext { return s.ended.SpanContext() }

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

func rootToReading(tb testing.TB) float64 {
	tb.Helper()
	ctx := context.Background()
	return ratio(calls(ctx, &reading{}), calls(ctx, processor(tb, tracectx.Config{})))
}

// rootWithActiveSpans shows whether the cost grows with the number of active spans.
func rootWithActiveSpans(tb testing.TB) float64 {
	tb.Helper()
	ctx := context.Background()
	alone, busy := processor(tb, tracectx.Config{}), processor(tb, tracectx.Config{})
	startSpans(busy, 2000)
	return ratio(calls(ctx, alone), calls(ctx, busy))
}

// startSpans starts n spans of four names, which stay active.
func startSpans(p sdktrace.SpanProcessor, n int) {
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(p)).Tracer("")
	for i := range n {
		tracer.Start(context.Background(), [...]string{"GET /a", "GET /b", "GET /c", "GET /d"}[i%4]) //nolint:spancheck // they stay active
	}
}

func childToReading(tb testing.TB) float64 {
	tb.Helper()
	return ratio(calls(child(), &reading{}), calls(child(), processor(tb, tracectx.Config{})))
}

func rootAllocations(tb testing.TB) float64 {
	tb.Helper()
	p := processor(tb, tracectx.Config{})
	n := allocations(calls(context.Background(), p))
	if a := p.Observe(time.Now()); a.Ended == 0 || a.Ended != a.Started {
		tb.Errorf("the processor did not track all spans: %+v", a)
	}
	return n
}

const observed = 5000

func observe(tb testing.TB) func() {
	tb.Helper()
	p := processor(tb, tracectx.Config{Capacity: 2 * observed})
	startSpans(p, observed)
	if a := p.Observe(time.Now()); a.Started != observed || a.Untracked != 0 {
		tb.Errorf("the processor did not track all spans: %+v", a)
	}
	return func() { p.Observe(time.Now()) }
}

func observeToRange(tb testing.TB) float64 {
	tb.Helper()
	var m sync.Map
	for i := range observed {
		m.Store(trace.SpanID{byte(i), byte(i >> 8)}, i)
	}
	return ratio(func() { m.Range(func(any, any) bool { return true }) }, observe(tb))
}

func observeAllocations(tb testing.TB) float64 {
	tb.Helper()
	return allocations(observe(tb))
}
