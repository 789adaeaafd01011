// SPDX-License-Identifier: Apache-2.0

package tracectx_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/gmpulse/gmpulse/tracectx"
)

// BenchmarkSpan measures start and end of a root span with the SDK: without a processor,
// with an empty one, and with a Processor. Compare gmpulse to empty.
func BenchmarkSpan(b *testing.B) {
	for _, bench := range []struct {
		name      string
		processor func() sdktrace.SpanProcessor
	}{
		{"none", func() sdktrace.SpanProcessor { return nil }},
		{"empty", func() sdktrace.SpanProcessor { return empty{} }},
		{"no-labels", func() sdktrace.SpanProcessor { return newProcessor(b, tracectx.Config{NoLabels: true}) }},
		{"gmpulse", func() sdktrace.SpanProcessor { return newProcessor(b, tracectx.Config{}) }},
	} {
		b.Run(bench.name, func(b *testing.B) {
			tracer := benchTracer(b, bench.processor())
			b.ReportAllocs()
			for b.Loop() {
				_, span := tracer.Start(context.Background(), "GET /")
				span.End()
			}
		})
		b.Run("parallel/"+bench.name, func(b *testing.B) {
			tracer := benchTracer(b, bench.processor())
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					_, span := tracer.Start(context.Background(), "GET /")
					span.End()
				}
			})
		})
	}
}

func benchTracer(b *testing.B, processor sdktrace.SpanProcessor) trace.Tracer {
	b.Helper()
	if processor == nil {
		return newProvider(b).Tracer("")
	}
	return newProvider(b, sdktrace.WithSpanProcessor(processor)).Tracer("")
}

// BenchmarkDisplacedRoot measures start and end of a root span when the work of the application has
// displaced code and data from the caches, as between two requests of a real service. Compare gmpulse to
// empty. Each figure is the median.
func BenchmarkDisplacedRoot(b *testing.B) {
	for _, bench := range []struct {
		name      string
		processor sdktrace.SpanProcessor
	}{
		{"empty", empty{}},
		{"gmpulse", newProcessor(b, tracectx.Config{History: tracectx.NewHistory(0)})},
	} {
		b.Run(bench.name, func(b *testing.B) {
			tracer, memory := benchTracer(b, bench.processor), make([]byte, 32<<20)
			var took []time.Duration
			for b.Loop() {
				displace(memory)
				begin := time.Now()
				_, span := tracer.Start(context.Background(), "GET /")
				started := time.Since(begin)
				displace(memory)
				begin = time.Now()
				span.End()
				took = append(took, started+time.Since(begin))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2]), "ns/root")
			b.ReportMetric(0, "ns/op") // almost all of it is displace
		})
	}
}

// displace touches a line of each page of memory, and runs code that has nothing to do with spans.
func displace(memory []byte) {
	sum := 0
	for i := 0; i < len(memory); i += 4096 + 64 { // the next line each time, for all sets of a cache
		memory[i]++
		sum += int(memory[i])
	}
	_, _ = json.Marshal(map[string]any{"sum": sum, "items": []int{1, 2, 3}, "name": strconv.Itoa(sum)})
}

// BenchmarkOnStartOnEnd measures the two calls alone, with 64 active spans.
func BenchmarkOnStartOnEnd(b *testing.B) {
	ctx := context.Background()
	for _, bench := range []struct {
		name      string
		ctx       context.Context
		processor sdktrace.SpanProcessor
	}{
		{"root/empty", ctx, empty{}},
		{"root/no-labels", ctx, newProcessor(b, tracectx.Config{NoLabels: true})},
		{"root/gmpulse", ctx, newProcessor(b, tracectx.Config{})},
		{"child/empty", trace.ContextWithSpanContext(ctx, spanContext(1, 1)), empty{}},
		{"child/gmpulse", trace.ContextWithSpanContext(ctx, spanContext(1, 1)), newProcessor(b, tracectx.Config{})},
	} {
		b.Run(bench.name, func(b *testing.B) { benchCalls(b, bench.ctx, bench.processor) })
		b.Run("parallel/"+bench.name, func(b *testing.B) {
			b.RunParallel(func(pb *testing.PB) {
				start, end := prebuilt(b, bench.ctx)
				for pb.Next() {
					bench.processor.OnStart(bench.ctx, start)
					bench.processor.OnEnd(end)
				}
			})
		})
	}
}

func benchCalls(b *testing.B, ctx context.Context, p sdktrace.SpanProcessor) {
	b.Helper()
	const inFlight = 64
	var starts [inFlight]sdktrace.ReadWriteSpan
	var ends [inFlight]sdktrace.ReadOnlySpan
	for i := range starts {
		starts[i], ends[i] = prebuilt(b, ctx)
		p.OnStart(ctx, starts[i])
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		p.OnEnd(ends[i%inFlight])
		p.OnStart(ctx, starts[i%inFlight])
	}
}

// BenchmarkAccessors measures what a span processor pays the SDK for each value that it
// reads, from a span that starts and from the snapshot that OnEnd gets. See
// docs/otel-sdk-proposal.md.
func BenchmarkAccessors(b *testing.B) {
	start, end := prebuilt(b, b.Context())
	var sum int
	for _, bench := range []struct {
		name string
		read func() int
	}{
		{"start/SpanContext", func() int { return int(start.SpanContext().TraceFlags()) }},
		{"start/Parent", func() int { return int(start.Parent().TraceFlags()) }},
		{"start/StartTime", func() int { return start.StartTime().Nanosecond() }},
		{"start/Name", func() int { return len(start.Name()) }},
		{"end/SpanContext", func() int { return int(end.SpanContext().TraceFlags()) }},
		{"end/Parent", func() int { return int(end.Parent().TraceFlags()) }},
		{"end/EndTime", func() int { return end.EndTime().Nanosecond() }},
		{"end/Name", func() int { return len(end.Name()) }},
		{"end/Status", func() int { return int(end.Status().Code) }},
	} {
		b.Run(bench.name, func(b *testing.B) {
			for b.Loop() {
				sum += bench.read()
			}
		})
	}
}

func BenchmarkObserve(b *testing.B) {
	for _, active := range []uint64{0, 100, 5000} {
		b.Run(fmt.Sprintf("active=%d", active), func(b *testing.B) {
			p := newProcessor(b, tracectx.Config{Capacity: 8192})
			now := time.Now()
			for i := range active {
				span := root(i/100+1, i+1, fmt.Sprint("GET /", i%20))
				span.start = now.Add(-time.Duration(i*2654435761%1_000_000) * time.Microsecond)
				p.OnStart(b.Context(), span)
			}
			b.ReportAllocs()
			for b.Loop() {
				p.Observe(now)
			}
		})
	}
}

// BenchmarkEnrich measures the additional cost per span of a wrapped processor.
func BenchmarkEnrich(b *testing.B) {
	h := tracectx.NewHistory(0)
	for n := range 5 {
		tick(h, float64(n))
	}
	now := time.Now()
	for name, span := range map[string]sdktrace.ReadOnlySpan{
		"enriched": tracetest.SpanStub{StartTime: now.Add(-time.Hour), EndTime: now, Attributes: eightAttributes()}.Snapshot(),
		"short":    tracetest.SpanStub{StartTime: now.Add(-time.Hour), EndTime: now.Add(time.Millisecond - time.Hour)}.Snapshot(),
	} {
		b.Run(name, func(b *testing.B) {
			p := tracectx.WrapProcessor(empty{}, tracectx.Enrichment{History: h})
			b.ReportAllocs()
			for b.Loop() {
				p.OnEnd(span)
			}
		})
	}
}

// BenchmarkInnerRoot measures start and end of a root that begins inside another root because the
// context was lost: the span of a query, in the handler of a request. The goroutine has the labels
// of the request. Other requests are active on other goroutines.
func BenchmarkInnerRoot(b *testing.B) {
	for _, others := range []uint64{0, 16, 1000} {
		b.Run(fmt.Sprintf("active=%d", others), func(b *testing.B) {
			p := newProcessor(b, tracectx.Config{})
			for i := range others {
				done := make(chan struct{})
				go func() { p.OnStart(b.Context(), root(i+1, i+1, "GET /")); close(done) }()
				<-done
			}
			tracer := benchTracer(b, p)
			_, request := tracer.Start(context.Background(), "GET /", trace.WithSpanKind(trace.SpanKindServer))
			defer request.End()
			b.ReportAllocs()
			for b.Loop() {
				_, span := tracer.Start(context.Background(), "SELECT", trace.WithSpanKind(trace.SpanKindClient))
				span.End()
			}
		})
	}
}
