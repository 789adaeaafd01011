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

// passive is a span processor without the methods that matter.
type passive struct{}

func (passive) Shutdown(context.Context) error   { return nil }
func (passive) ForceFlush(context.Context) error { return nil }

// empty does nothing: what the first processor of a provider costs.
type empty struct{ passive }

func (empty) OnStart(context.Context, sdktrace.ReadWriteSpan) {}
func (empty) OnEnd(sdktrace.ReadOnlySpan)                     {}

// looker asks a span for what has to be known of it, and forgets it: is it a root,
// its ids, its name, its times. The SDK's locks make this the limit.
type looker struct {
	passive
	odd atomic.Int64 // hardly ever written: it is shared by all CPUs
}

func (l *looker) OnStart(_ context.Context, s sdktrace.ReadWriteSpan) {
	if s.Parent().HasSpanID() {
		return
	}
	id := s.SpanContext()
	l.look(id, int64(len(s.Name()))+s.StartTime().UnixNano())
}

func (l *looker) OnEnd(s sdktrace.ReadOnlySpan) {
	if s.Parent().HasSpanID() {
		return
	}
	l.look(s.SpanContext(), s.EndTime().UnixNano())
}

// look lets the compiler leave nothing out.
func (l *looker) look(id trace.SpanContext, sum int64) {
	span, trace := id.SpanID(), id.TraceID()
	if int64(span[0])+int64(trace[0])+sum == 0 {
		l.odd.Add(1)
	}
}

// mapped keeps the spans in a sync.Map, as most would write it.
type mapped struct {
	passive
	spans sync.Map
}

func (m *mapped) OnStart(_ context.Context, s sdktrace.ReadWriteSpan) {
	m.spans.Store(s.SpanContext().SpanID(), s)
}
func (m *mapped) OnEnd(s sdktrace.ReadOnlySpan) { m.spans.Delete(s.SpanContext().SpanID()) }

func ours(c tracectx.Config) *tracectx.Processor {
	p, err := tracectx.New(c)
	if err != nil {
		panic(err)
	}
	return p
}

// provider returns one that samples everything.
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
		{"*limit:* a processor that looks and forgets", provider(&looker{})},
		{"**gmpulse**", provider(ours(tracectx.Config{}))},
		{"**gmpulse** without labels", provider(ours(tracectx.Config{NoLabels: true}))},
		{"a sync.Map of spans", provider(&mapped{})},
		{"otel-profiling-go", otelpyroscope.NewTracerProvider(provider())},
	}
}

// spanCases start and end spans on some goroutines at a time, one for each CPU
// that is counted.
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
	effort.Rounds *= 4 // a difference of few nanoseconds is wanted
	one := sidebyside.Turns(effort, spanCases(context.Background(), 1))
	all := sidebyside.Turns(effort, spanCases(context.Background(), runtime.GOMAXPROCS(0)))
	below := sidebyside.Turns(effort, spanCases(child, 1))
	head("provider with", "root span", "over an empty processor", "CPUs at once: × an empty processor", "child span over an empty processor", "allocations of a root span")
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

// printScan is what a tick pays for 5,000 active spans of ten names, of which as many
// more have ended.
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
	p, m := ours(tracectx.Config{Capacity: 2 * active}), &mapped{}
	fill(p)
	fill(m)
	idle := ours(tracectx.Config{})
	printTurns("Range", sidebyside.Turns(e.turns, []sidebyside.Case{
		sidebyside.Op("Range over a sync.Map, looking at nothing", func() { m.spans.Range(func(any, any) bool { return true }) }),
		sidebyside.Op("**gmpulse**: counts, ages and durations by name, the oldest 32", func() { p.Observe(time.Now()) }),
		sidebyside.Op("**gmpulse** with no active span, table of 4,096", func() { idle.Observe(time.Now()) }),
	}))
	return nil
}
