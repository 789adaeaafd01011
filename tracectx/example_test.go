// SPDX-License-Identifier: Apache-2.0

package tracectx_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime/pprof"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/gmpulse/gmpulse/tracectx"
)

func Example() {
	p, err := tracectx.New(tracectx.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	tp := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(p))
	tracer := tp.Tracer("example")

	ctx, request := tracer.Start(context.Background(), "GET /orders")
	_, query := tracer.Start(ctx, "SELECT orders") // a child: not counted
	query.End()
	_, job := tracer.Start(context.Background(), "nightly report")
	job.End()

	activity := p.Observe(time.Now())
	for _, g := range activity.Groups {
		fmt.Println(g.Active, g.Name)
	}
	fmt.Println(activity.Started, "started,", activity.Ended, "ended")
	request.End()
	// Output:
	// 1 GET /orders
	// 0 nightly report
	// 2 started, 1 ended
}

func ExampleProcessor_Attach() {
	// The provider was set up elsewhere, as otel.GetTracerProvider would return it.
	var tp trace.TracerProvider = sdktrace.NewTracerProvider()

	p, err := tracectx.New(tracectx.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("attached:", p.Attach(tp))
	defer p.Detach()

	_, span := tp.Tracer("example").Start(context.Background(), "GET /orders")
	defer span.End()
	for _, s := range p.Observe(time.Now()).Active {
		fmt.Println("active:", s.Name)
	}
	// Output:
	// attached: true
	// active: GET /orders
}

func ExampleWrapExporter() {
	history := tracectx.NewHistory(0) // engine.WithAnalyzer registers it with an engine
	var exporter sdktrace.SpanExporter = tracetest.NewInMemoryExporter()
	tp := sdktrace.NewTracerProvider(sdktrace.WithBatcher(
		tracectx.WrapExporter(exporter, tracectx.Enrichment{History: history}),
	))
	fmt.Println(tp.Shutdown(context.Background()))
	// Output:
	// <nil>
}

func ExampleProcessor_WrapTracerProvider() {
	p, err := tracectx.New(tracectx.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	sdk := sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.NeverSample()))
	tp := p.WrapTracerProvider(sdk)
	_, span := tp.Tracer("example").Start(context.Background(), "GET /orders")
	for _, s := range p.Observe(time.Now()).Active {
		fmt.Println("active:", s.Name, "sampled:", s.Sampled)
	}
	span.End()
	fmt.Println("ended:", p.Observe(time.Now()).Ended)
	// Output:
	// active: GET /orders sampled: false
	// ended: 1
}

func ExampleWrapProcessor() {
	history := tracectx.NewHistory(0) // engine.WithAnalyzer registers it with an engine
	next := sdktrace.NewBatchSpanProcessor(tracetest.NewInMemoryExporter())
	tp := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(
		tracectx.WrapProcessor(next, tracectx.Enrichment{History: history, Slow: 500 * time.Millisecond}),
	))
	fmt.Println(tp.Shutdown(context.Background()))
	// Output:
	// <nil>
}

func ExampleProcessor_Do() {
	p, err := tracectx.New(tracectx.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	p.Do(context.Background(), "refresh prices", func(context.Context) {
		for _, s := range p.Observe(time.Now()).Active {
			fmt.Println("active:", s.Name)
		}
	})
	// Output:
	// active: refresh prices
}

func ExampleSetName() {
	p, err := tracectx.New(tracectx.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	p.Do(context.Background(), "GET", func(ctx context.Context) {
		tracectx.SetName(ctx, "GET /orders/{id}") // the router has found the route
	})
	for _, g := range p.Observe(time.Now()).Groups {
		fmt.Println(g.Ended, g.Name)
	}
	// Output:
	// 1 GET /orders/{id}
}

func ExampleProcessor_Origin() {
	p, err := tracectx.New(tracectx.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	p.Do(context.Background(), "refresh prices", func(ctx context.Context) {
		// Goroutines that start here inherit these labels. A goroutine profile shows them.
		root, _ := pprof.Label(ctx, tracectx.RootLabel)
		epoch, _ := pprof.Label(ctx, tracectx.EpochLabel)
		origin, ok := p.Origin(root, epoch)
		fmt.Println(origin.Names, origin.To.Sub(origin.From), ok)
	})
	// Output:
	// [refresh prices] 10s true
}

// Transport counts the response bodies of a client that are not closed. Package agent adds their
// numbers to snapshots.
func ExampleProcessor_Transport() {
	p, err := tracectx.New(tracectx.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	upstream := httptest.NewServer(http.NotFoundHandler())
	defer upstream.Close()
	client := &http.Client{Transport: p.Transport(nil)}
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, upstream.URL, http.NoBody)
	if err != nil {
		fmt.Println(err)
		return
	}
	resp, err := client.Do(req)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	fmt.Println(resp.Status)
	// Output: 404 Not Found
}
