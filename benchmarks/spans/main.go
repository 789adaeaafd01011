// SPDX-License-Identifier: Apache-2.0

// Spans measures the cost of a span with gmpulse, without it, and with the profiling
// wrapper of Grafana:
//
//	go -C benchmarks run ./spans [-quick]
//
// An operation is a trace: one root span, or a chain of ten spans. The reference is the
// SDK with an empty processor, because every program that exports spans has a
// processor.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"

	otelpyroscope "github.com/grafana/otel-profiling-go"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/gmpulse/gmpulse/benchmarks/sidebyside"
	"github.com/gmpulse/gmpulse/tracectx"
)

func main() {
	quick := flag.Bool("quick", false, "a few rounds, to check that it runs")
	flag.Parse()
	effort := sidebyside.Effort{Rounds: 150, Slice: 8 * time.Millisecond}
	if *quick {
		effort = sidebyside.Effort{Rounds: 3, Slice: time.Millisecond}
	}
	fmt.Printf("%s, %d CPUs; CPU time of the process, ratio: median (quartiles)\n\n", runtime.Version(), runtime.NumCPU())
	fmt.Println("| depth | CPUs | spans with | a trace | ratio | allocations |")
	fmt.Println("| --- | --- | --- | --- | --- | --- |")
	for _, depth := range []int{1, 10} {
		for _, cpus := range []int{1, min(2, runtime.NumCPU())} {
			runtime.GOMAXPROCS(cpus)
			for _, r := range sidebyside.Turns(effort, cases(depth, cpus)) {
				fmt.Printf("| %d | %d | %s | %.0f ns | %.2f (%.2f–%.2f) | %.1f |\n", depth, cpus, r.Name, r.CPU, r.Ratio, r.Low, r.High, r.Allocs)
			}
		}
	}
}

// empty is a span processor that does nothing.
type empty struct{}

func (empty) OnStart(context.Context, sdktrace.ReadWriteSpan) {}
func (empty) OnEnd(sdktrace.ReadOnlySpan)                     {}
func (empty) Shutdown(context.Context) error                  { return nil }
func (empty) ForceFlush(context.Context) error                { return nil }

func provider(processors ...sdktrace.SpanProcessor) *sdktrace.TracerProvider {
	var options []sdktrace.TracerProviderOption
	for _, p := range processors {
		options = append(options, sdktrace.WithSpanProcessor(p))
	}
	return sdktrace.NewTracerProvider(options...)
}

func gmpulse(c tracectx.Config) *tracectx.Processor {
	p, err := tracectx.New(c)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return p
}

func cases(depth, goroutines int) (all []sidebyside.Case) {
	withEvents := tracectx.Config{History: tracectx.NewHistory(0)}
	notSampled := func() trace.TracerProvider {
		return sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.NeverSample()))
	}
	for _, p := range []struct {
		name     string
		provider trace.TracerProvider
	}{
		{"an empty processor", provider(empty{})},
		{"no processor", provider()},
		{"**gmpulse** without labels", provider(gmpulse(tracectx.Config{NoLabels: true}))},
		{"**gmpulse**", provider(gmpulse(tracectx.Config{}))},
		{"**gmpulse** as the agent configures it, with events on long spans", provider(gmpulse(withEvents))},
		{"**gmpulse** WrapTracerProvider", gmpulse(withEvents).WrapTracerProvider(provider())},
		{"grafana/otel-profiling-go", otelpyroscope.NewTracerProvider(provider(empty{}))},
		{"not sampled: the SDK", notSampled()},
		{"not sampled: **gmpulse** WrapTracerProvider", gmpulse(withEvents).WrapTracerProvider(notSampled())},
		{"not sampled: grafana/otel-profiling-go", otelpyroscope.NewTracerProvider(notSampled())},
	} {
		tracer := p.provider.Tracer("spans")
		all = append(all, sidebyside.Case{Name: p.name, Run: func(n int) {
			var wg sync.WaitGroup
			for range goroutines {
				wg.Go(func() {
					for range n/goroutines + 1 {
						makeTrace(context.Background(), tracer, depth)
					}
				})
			}
			wg.Wait()
		}})
	}
	return all
}

// makeTrace starts and ends a chain of spans of the given depth.
func makeTrace(ctx context.Context, tracer trace.Tracer, depth int) {
	ctx, span := tracer.Start(ctx, "GET /orders/{id}")
	if depth > 1 {
		makeTrace(ctx, tracer, depth-1)
	}
	span.End()
}
