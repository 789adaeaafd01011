// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	otelpyroscope "github.com/grafana/otel-profiling-go"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/gmpulse/gmpulse/benchmarks/sidebyside"
	"github.com/gmpulse/gmpulse/tracectx"
)

// noLifecycle has the methods of a span processor that do nothing here.
type noLifecycle struct{}

func (noLifecycle) Shutdown(context.Context) error   { return nil }
func (noLifecycle) ForceFlush(context.Context) error { return nil }

// empty is a span processor that does nothing. It shows what the SDK spends on the first
// processor of a provider.
type empty struct{ noLifecycle }

func (empty) OnStart(context.Context, sdktrace.ReadWriteSpan) {}
func (empty) OnEnd(sdktrace.ReadOnlySpan)                     {}

// reading is a span processor that only reads the fields that gmpulse needs: whether the
// span is a root, its ids, name and times. The SDK locks the span for each of them, so
// no processor of this kind can be faster.
type reading struct {
	noLifecycle
	used atomic.Int64 // almost never written, because all CPUs share it
}

func (r *reading) OnStart(_ context.Context, s sdktrace.ReadWriteSpan) {
	if s.Parent().HasSpanID() {
		return
	}
	id := s.SpanContext()
	r.use(id, int64(len(s.Name()))+s.StartTime().UnixNano())
}

func (r *reading) OnEnd(s sdktrace.ReadOnlySpan) {
	if s.Parent().HasSpanID() {
		return
	}
	r.use(s.SpanContext(), s.EndTime().UnixNano())
}

// use uses the fields, so that the compiler does not remove the calls that read them.
func (r *reading) use(id trace.SpanContext, sum int64) {
	span, trace := id.SpanID(), id.TraceID()
	if int64(span[0])+int64(trace[0])+sum == 0 {
		r.used.Add(1)
	}
}

// mapped keeps the active spans in a sync.Map, the obvious implementation.
type mapped struct {
	noLifecycle
	spans sync.Map
}

func (m *mapped) OnStart(_ context.Context, s sdktrace.ReadWriteSpan) {
	m.spans.Store(s.SpanContext().SpanID(), s)
}
func (m *mapped) OnEnd(s sdktrace.ReadOnlySpan) { m.spans.Delete(s.SpanContext().SpanID()) }

func gmpulse(c tracectx.Config) *tracectx.Processor {
	p, err := tracectx.New(c)
	if err != nil {
		panic(err)
	}
	return p
}

// provider returns a tracer provider that samples all spans.
func provider(processors ...sdktrace.SpanProcessor) trace.TracerProvider {
	options := []sdktrace.TracerProviderOption{sdktrace.WithSampler(sdktrace.AlwaysSample())}
	for _, p := range processors {
		options = append(options, sdktrace.WithSpanProcessor(p))
	}
	return sdktrace.NewTracerProvider(options...)
}

type spanProvider struct {
	name     string
	provider trace.TracerProvider
}

func spanProviders() []spanProvider {
	return []spanProvider{
		{"an empty processor", provider(empty{})},
		{"no processor", provider()},
		{"*limit:* a processor that only reads the span", provider(&reading{})},
		{"**gmpulse**", provider(gmpulse(tracectx.Config{}))},
		{"**gmpulse** without labels", provider(gmpulse(tracectx.Config{NoLabels: true}))},
		{"a sync.Map of spans", provider(&mapped{})},
		{"otel-profiling-go", otelpyroscope.NewTracerProvider(provider())},
	}
}

// spanCases returns cases that start and end spans on several goroutines at the same
// time.
func spanCases(ctx context.Context, goroutines int) (cases []sidebyside.Case) {
	for _, p := range spanProviders() {
		tracer := p.provider.Tracer("compare")
		cases = append(cases, sidebyside.Case{Name: p.name, Run: func(n int) {
			var wg sync.WaitGroup
			for range goroutines {
				wg.Go(func() {
					for range n/goroutines + 1 {
						_, span := tracer.Start(ctx, "GET /orders/{id}")
						span.End()
					}
				})
			}
			wg.Wait()
		}})
	}
	return cases
}

func printSpan(e effort) error {
	child := trace.ContextWithSpanContext(context.Background(), trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1}, SpanID: trace.SpanID{1}, TraceFlags: trace.FlagsSampled,
	}))
	effort := e.turns
	effort.Rounds *= 4 // to measure differences of a few nanoseconds
	one := sidebyside.Turns(effort, spanCases(context.Background(), 1))
	all := sidebyside.Turns(effort, spanCases(context.Background(), runtime.GOMAXPROCS(0)))
	below := sidebyside.Turns(effort, spanCases(child, 1))
	head("provider with", "root span", "more than an empty processor", "on all CPUs: × an empty processor", "child span: more than an empty processor", "allocations of a root span")
	for i, r := range one {
		row(r.Name, duration(r.CPU), signed(r.More), ratio(all[i].Ratio), signed(below[i].More), number(r.Allocs))
	}
	return nil
}

func signed(ns float64) string {
	if ns < 0 {
		return duration(ns)
	}
	return "+" + duration(ns)
}

// printScan measures the work of a tick on 5,000 active spans of ten names, after as many
// spans have ended.
func printScan(e effort) error {
	const active = 5000
	names := []string{"GET /a", "GET /b", "GET /c", "GET /d", "GET /e", "GET /f", "GET /g", "GET /h", "GET /i", "GET /j"}
	fill := func(p sdktrace.SpanProcessor) {
		tracer, start := provider(p).Tracer("compare"), time.Now()
		for i := range active {
			tracer.Start(context.Background(), names[i%len(names)]) //nolint:spancheck // they stay active
			_, ended := tracer.Start(context.Background(), names[i%len(names)], trace.WithTimestamp(start))
			ended.End(trace.WithTimestamp(start.Add(time.Duration(i*i) * time.Microsecond)))
		}
	}
	p, m := gmpulse(tracectx.Config{Capacity: 2 * active}), &mapped{}
	fill(p)
	fill(m)
	idle := gmpulse(tracectx.Config{})
	printTurns("Range", sidebyside.Turns(e.turns, []sidebyside.Case{
		sidebyside.Op("Range over a sync.Map, without reading the spans", func() { m.spans.Range(func(any, any) bool { return true }) }),
		sidebyside.Op("**gmpulse**: counts, ages and durations by name, the oldest 32", func() { p.Observe(time.Now()) }),
		sidebyside.Op("**gmpulse** with no active span, table of 4,096", func() { idle.Observe(time.Now()) }),
	}))
	return nil
}
