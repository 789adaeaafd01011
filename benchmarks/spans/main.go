// SPDX-License-Identifier: Apache-2.0

// Spans measures what a span costs with gmpulse beside what it costs without, and
// with the profiling wrapper of Grafana:
//
//	go -C benchmarks run ./spans [-quick]
//
// An operation is a trace: a root, and with depth 10 nine spans below each other.
// The reference is the SDK with a processor that does nothing, which any program
// that exports spans has at least.
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
	quick := flag.Bool("quick", false, "a few rounds only, to see that it runs")
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

// empty is a processor that does nothing.
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

func ours(c tracectx.Config) *tracectx.Processor {
	p, err := tracectx.New(c)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return p
}

func cases(depth, goroutines int) (all []sidebyside.Case) {
	live := tracectx.Config{History: tracectx.NewHistory(0)}
	for _, p := range []struct {
		name     string
		provider trace.TracerProvider
	}{
		{"an empty processor", provider(empty{})},
		{"no processor", provider()},
		{"**gmpulse** without labels", provider(ours(tracectx.Config{NoLabels: true}))},
		{"**gmpulse**", provider(ours(tracectx.Config{}))},
		{"**gmpulse** as the agent has it, events on long spans", provider(ours(live))},
		{"**gmpulse** WrapTracerProvider", ours(live).WrapTracerProvider(provider())},
		{"grafana/otel-profiling-go", otelpyroscope.NewTracerProvider(provider(empty{}))},
		{"nothing recorded: the SDK", sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.NeverSample()))},
		{"nothing recorded: **gmpulse** WrapTracerProvider", ours(live).WrapTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.NeverSample())))},
		{"nothing recorded: grafana/otel-profiling-go", otelpyroscope.NewTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.NeverSample())))},
	} {
		tracer := p.provider.Tracer("spans")
		all = append(all, sidebyside.Case{Name: p.name, Run: func(n int) {
			var wg sync.WaitGroup
			for range goroutines {
				wg.Go(func() {
					for range n/goroutines + 1 {
						trace1(context.Background(), tracer, depth)
					}
				})
			}
			wg.Wait()
		}})
	}
	return all
}

// trace1 makes a chain of spans.
func trace1(ctx context.Context, tracer trace.Tracer, depth int) {
	ctx, span := tracer.Start(ctx, "GET /orders/{id}")
	if depth > 1 {
		trace1(ctx, tracer, depth-1)
	}
	span.End()
}
