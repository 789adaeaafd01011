// SPDX-License-Identifier: Apache-2.0

package exectrace_test

import (
	"context"
	"fmt"
	"log"
	"math"
	"os"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/gmpulse/gmpulse/tracectx"
	"github.com/gmpulse/gmpulse/tracectx/exectrace"
)

// Slow spans say where their time went.
func ExampleRecorder_WrapExporter() {
	recorder, err := exectrace.New(exectrace.Config{Mode: exectrace.Always})
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { recorder.Run(ctx); close(done) }()
	defer func() { cancel(); <-done }()

	ids, err := tracectx.New(tracectx.Config{}) // tells the trace which span is which
	if err != nil {
		log.Fatal(err)
	}
	backend := tracetest.NewNoopExporter() // otlptracehttp.New(ctx), say
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithSpanProcessor(ids),
		sdktrace.WithBatcher(recorder.WrapExporter(backend)),
	)
	defer provider.Shutdown(ctx)
	// Output:
}

// Where the time went, in a file that "go tool trace" opens.
func ExampleAnalyze() {
	file, err := os.Open("app.trace")
	if err != nil {
		return // there is none here
	}
	defer file.Close()
	_, err = exectrace.Analyze(context.Background(), file, math.MaxInt, func(b *exectrace.Breakdown) {
		for cause, d := range b.Self.All() {
			fmt.Println(b.Name, cause, d)
		}
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
}

// A pool of workers that was there before the spans.
func ExampleAttach() {
	type job struct {
		ctx context.Context
		do  func()
	}
	jobs := make(chan job, 1)
	jobs <- job{context.Background(), func() { fmt.Println("work") }}
	close(jobs)
	for j := range jobs {
		detach := exectrace.Attach(j.ctx)
		j.do()
		detach()
	}
	// Output: work
}

// The goroutines that neither ran nor were created in three seconds.
func ExampleRecorder_Record() {
	recorder, err := exectrace.New(exectrace.Config{})
	if err != nil {
		log.Fatal(err)
	}
	recording, err := recorder.Record(context.Background(), 3*time.Second)
	if err != nil {
		log.Fatal(err)
	}
	for i := range recording.Goroutines {
		g := &recording.Goroutines[i]
		if key, ok := g.Key(); ok && !g.Ran && !g.Created {
			fmt.Println(g.ID, key)
		}
	}
}
