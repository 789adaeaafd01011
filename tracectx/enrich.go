// SPDX-License-Identifier: Apache-2.0

package tracectx

import (
	"context"
	"math"
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// The attributes of enrichment. Those of the process are process-wide: with ten
// requests in flight each of them sees what all ten did. The prefix says so,
// and duringActive says how many there were.
const (
	duringTicks     = "go.process.during.ticks"        // ticks within the span: what the rest is made of
	duringTime      = "go.process.during.time"         // seconds from the tick before the span to the last one in it
	duringActive    = "go.process.during.active_spans" // mean number of local roots active
	duringPause     = "go.process.during.gc.pause.time"
	duringCycles    = "go.process.during.gc.cycles"
	duringLatency   = "go.process.during.schedule.p99" // seconds runnable goroutines waited
	duringGained    = "go.process.during.goroutine.delta"
	duringMax       = "go.process.during.goroutine.max"
	duringAllocated = "go.process.during.memory.allocated"
	duringCPU       = "go.process.during.cpu.time"
	duringThrottled = "go.process.during.throttled.time"
	throttledWindow = "go.process.during.throttled.window" // seconds that it was counted over

	startGoroutines = "go.process.at_start.goroutine.count" // at the tick before the span
	startHeap       = "go.process.at_start.memory.heap"

	numAttributes = 14
)

// DefaultSlow is what [Enrichment.Slow] is unless told otherwise.
const DefaultSlow = time.Second

// Enrichment says which spans [WrapExporter] and [WrapProcessor] enrich, and from
// what: local roots, and other spans that are slow, but none shorter than a tick,
// for of those no tick can tell.
type Enrichment struct {
	// History is what the agent's tick adds to. Nil turns enrichment off: then
	// what would be wrapped is returned as it is.
	History *runtimeinfo.History
	// Slow is how long a span below a local root must take. Zero means 1 s,
	// below zero never.
	Slow time.Duration
}

// WrapExporter returns an exporter that adds what the process went through while
// each span ran, and passes the spans on to next: attributes
// go.process.during.* and go.process.at_start.*, listed in docs/spans.md. The
// numbers are of the whole process and always come with the number of
// concurrent roots.
//
//	exporter := tracectx.WrapExporter(otlpExporter, tracectx.Enrichment{History: history})
//	tp := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter))
//
// Behind a batching processor nothing of it happens on the application's
// goroutines. It costs 0.7 µs and two allocations per enriched span, some 30
// nanoseconds for others.
func WrapExporter(next sdktrace.SpanExporter, e Enrichment) sdktrace.SpanExporter {
	if e.History == nil {
		return next
	}
	return &exporter{next, newEnricher(e)}
}

// exporter passes enriched spans on. Shutdown is next's.
type exporter struct {
	sdktrace.SpanExporter
	enricher enricher
}

// ExportSpans leaves the slice as it is: it belongs to the caller.
func (x *exporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	copied := false
	for i, span := range spans {
		enriched, ok := x.enricher.enrich(span)
		if !ok {
			continue
		}
		if !copied {
			spans, copied = slices.Clone(spans), true
		}
		spans[i] = enriched
	}
	return x.SpanExporter.ExportSpans(ctx, spans)
}

// WrapProcessor is [WrapExporter] for programs that have a span processor in hand
// and not its exporter. It works when a span ends, on the application's goroutine.
func WrapProcessor(next sdktrace.SpanProcessor, e Enrichment) sdktrace.SpanProcessor {
	if e.History == nil {
		return next
	}
	return &enriching{next, newEnricher(e)}
}

// enriching is a processor that passes enriched spans on. All but OnEnd is next's.
type enriching struct {
	sdktrace.SpanProcessor
	enricher enricher
}

var _ onEnding = (*enriching)(nil)

func (x *enriching) OnEnd(span sdktrace.ReadOnlySpan) {
	enriched, _ := x.enricher.enrich(span)
	x.SpanProcessor.OnEnd(enriched)
}

// onEnding is what processors may have once the SDK calls it, as the specification
// has it and SDK 1.47 has not: a last moment in which a span can be changed.
type onEnding interface {
	OnEnding(span sdktrace.ReadWriteSpan)
}

// OnEnding enriches the span itself, for all processors, and lets next have the
// moment too, if it wants it. SDKs that know it call it before OnEnd, where then
// nothing is left to do.
func (x *enriching) OnEnding(span sdktrace.ReadWriteSpan) {
	x.enricher.enrichLive(span)
	if next, ok := x.SpanProcessor.(onEnding); ok {
		next.OnEnding(span)
	}
}

// An enricher knows which spans to enrich, and with what.
type enricher struct {
	history *runtimeinfo.History
	slow    time.Duration
	limit   int
}

func newEnricher(e Enrichment) enricher {
	switch {
	case e.Slow == 0:
		e.Slow = DefaultSlow
	case e.Slow < 0:
		e.Slow = math.MaxInt64
	}
	return enricher{history: e.History, slow: e.Slow, limit: attributeLimit()}
}

// enrich returns the span with what is known of its time, or as it is and false.
func (x *enricher) enrich(span sdktrace.ReadOnlySpan) (sdktrace.ReadOnlySpan, bool) {
	w, ok := x.window(span, span.EndTime())
	if !ok {
		return span, false
	}
	var memory [numAttributes]attribute.KeyValue
	return withAttributes(span, x.limit, during(memory[:0], w)), true
}

// enrichLive is enrich for a span about to end.
func (x *enricher) enrichLive(span sdktrace.ReadWriteSpan) {
	if w, ok := x.window(span, time.Now()); ok {
		span.SetAttributes(during(make([]attribute.KeyValue, 0, numAttributes), w)...)
	}
}

// window returns what is known of a span's time, if it is to be enriched.
func (x *enricher) window(span sdktrace.ReadOnlySpan, end time.Time) (w runtimeinfo.Window, ok bool) {
	start := span.StartTime()
	took := end.Sub(start)
	if took < x.slow && hasLocalParent(span.Parent()) {
		return w, false
	}
	w, ok = x.history.Window(start, end)
	if !ok || took < w.Length()/time.Duration(w.Ticks()) {
		return w, false
	}
	// One that was wrapped twice has it already.
	return w, !slices.ContainsFunc(span.Attributes(), func(a attribute.KeyValue) bool { return a.Key == duringTicks })
}

// during appends the attributes of a window, without those that are not known.
func during(to []attribute.KeyValue, w runtimeinfo.Window) []attribute.KeyValue {
	integer := func(key attribute.Key, v float64) {
		if !math.IsNaN(v) {
			to = append(to, key.Int64(int64(v)))
		}
	}
	number := func(key attribute.Key, v float64) {
		if !math.IsNaN(v) {
			to = append(to, key.Float64(v))
		}
	}
	integer(duringTicks, float64(w.Ticks()))
	number(duringTime, w.Length().Seconds())
	number(duringActive, w.Roots())
	number(duringPause, w.Pause())
	integer(duringCycles, w.Cycles())
	number(duringLatency, w.Latency(0.99))
	integer(duringGained, w.GoroutinesGained())
	integer(duringMax, w.GoroutinesMax())
	integer(duringAllocated, w.Allocated())
	number(duringCPU, w.CPU())
	if throttled, over := w.Throttled(); over > 0 {
		number(duringThrottled, throttled)
		number(throttledWindow, over.Seconds())
	}
	if before, ok := w.Before(); ok {
		integer(startGoroutines, before.Goroutines())
		integer(startHeap, before.Heap())
	}
	return to
}
