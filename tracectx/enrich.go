// SPDX-License-Identifier: Apache-2.0

package tracectx

import (
	"context"
	"math"
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/gmpulse/gmpulse/internal/otelspan"
)

// The attributes of enrichment. Their values are of the whole process: with ten active
// requests, each gets the values of all ten. duringActive is the number of requests.
const (
	duringTicks     = "gmpulse.process.during.ticks"        // ticks within the span
	duringTime      = "gmpulse.process.during.time"         // seconds from the tick before the span to the last one within it
	duringActive    = "gmpulse.process.during.active_spans" // mean number of active local roots
	duringPause     = "gmpulse.process.during.gc.pause.time"
	duringCycles    = "gmpulse.process.during.gc.cycles"
	duringLatency   = "gmpulse.process.during.schedule.p99" // seconds
	duringGained    = "gmpulse.process.during.goroutine.delta"
	duringMax       = "gmpulse.process.during.goroutine.max"
	duringAllocated = "gmpulse.process.during.memory.allocated"
	duringCPU       = "gmpulse.process.during.cpu.time"
	duringThrottled = "gmpulse.process.during.throttled.time"
	throttledWindow = "gmpulse.process.during.throttled.window" // seconds to which throttled.time refers

	startGoroutines = "gmpulse.process.at_start.goroutine.count" // at the tick before the span
	startHeap       = "gmpulse.process.at_start.memory.heap"

	numAttributes = 14
)

const defaultSlow = time.Second

// Enrichment configures [WrapExporter] and [WrapProcessor]. They enrich local roots,
// and other spans that are slow, if the span is longer than a tick.
type Enrichment struct {
	// History supplies the values. It gets a snapshot at each tick of the agent.
	// nil turns enrichment off.
	History *History
	// Slow is the duration from which spans below a local root are enriched. 0 means
	// 1 s; a negative value means that only local roots are.
	Slow time.Duration
}

// WrapExporter returns an exporter that adds attributes to spans and passes them to
// next. The attributes gmpulse.process.during.* and gmpulse.process.at_start.* tell
// what the process did while the span ran: garbage collection, scheduling latency,
// goroutines, memory, CPU time and throttling (see docs/spans.md). The values are of
// the whole process. If e.History is nil, WrapExporter returns next.
//
//	exporter := tracectx.WrapExporter(otlpExporter, tracectx.Enrichment{History: history})
//	tp := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter))
//
// It takes 0.7 µs and two allocations for each enriched span, 30 ns for others. With a
// batch span processor, none of it runs on the application's goroutines.
func WrapExporter(next sdktrace.SpanExporter, e Enrichment) sdktrace.SpanExporter {
	if e.History == nil {
		return next
	}
	return &enrichingExporter{next, newEnricher(e)}
}

type enrichingExporter struct {
	sdktrace.SpanExporter
	enricher enricher
}

// ExportSpans does not change the slice, which belongs to the caller.
func (x *enrichingExporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
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

// WrapProcessor is [WrapExporter] for a span processor whose exporter is not
// accessible. The work is done on the application's goroutine when a span ends.
func WrapProcessor(next sdktrace.SpanProcessor, e Enrichment) sdktrace.SpanProcessor {
	if e.History == nil {
		return next
	}
	return &enrichingProcessor{next, newEnricher(e)}
}

type enrichingProcessor struct {
	sdktrace.SpanProcessor
	enricher enricher
}

func (x *enrichingProcessor) OnEnd(span sdktrace.ReadOnlySpan) {
	enriched, _ := x.enricher.enrich(span)
	x.SpanProcessor.OnEnd(enriched)
}

type enricher struct {
	history *History
	slow    time.Duration
	limit   int // of attributes per span
}

func newEnricher(e Enrichment) enricher {
	switch {
	case e.Slow == 0:
		e.Slow = defaultSlow
	case e.Slow < 0:
		e.Slow = math.MaxInt64
	}
	return enricher{history: e.History, slow: e.Slow, limit: otelspan.AttributeLimit()}
}

// enrich returns an ended span with more attributes. It returns span and false if the
// span is not to be enriched, or is enriched already.
func (x *enricher) enrich(span sdktrace.ReadOnlySpan) (sdktrace.ReadOnlySpan, bool) {
	start, end := span.StartTime(), span.EndTime()
	length := end.Sub(start)
	if length < x.slow && otelspan.HasLocalParent(span.Parent()) {
		return span, false
	}
	w, ok := x.history.window(start, end)
	if !ok || length < w.length()/time.Duration(w.count()) {
		return span, false
	}
	if slices.ContainsFunc(span.Attributes(), func(a attribute.KeyValue) bool { return a.Key == duringTicks }) {
		return span, false
	}
	var memory [numAttributes]attribute.KeyValue
	return otelspan.WithAttributes(span, x.limit, during(memory[:0], w)...), true
}

// during appends the attributes of a window. It leaves out unknown values.
func during(to []attribute.KeyValue, w window) []attribute.KeyValue {
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
	integer(duringTicks, float64(w.count()))
	number(duringTime, w.length().Seconds())
	number(duringActive, w.roots())
	number(duringPause, w.gained(colPause))
	integer(duringCycles, w.gained(colCycles))
	number(duringLatency, w.schedLatency(0.99))
	integer(duringGained, w.gained(colGoroutines))
	integer(duringMax, w.goroutinesMax())
	integer(duringAllocated, w.gained(colAllocated))
	number(duringCPU, w.cpu())
	if throttled, over := w.throttled(); over > 0 {
		number(duringThrottled, throttled)
		number(throttledWindow, over.Seconds())
	}
	if before, ok := w.before(); ok {
		integer(startGoroutines, before.numbers[colGoroutines])
		integer(startHeap, before.numbers[colHeap])
	}
	return to
}
