// SPDX-License-Identifier: Apache-2.0

package exectrace_test

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"math"
	"runtime/trace"
	"strings"
	"sync"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/gmpulse/gmpulse/tracectx"
	"github.com/gmpulse/gmpulse/tracectx/exectrace"
)

func ExampleRecorder_WrapExporter() {
	recorder, err := exectrace.New(exectrace.Config{Mode: exectrace.Always})
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { recorder.Run(ctx) })
	defer wg.Wait()
	defer cancel()

	roots, err := tracectx.New(tracectx.Config{}) // adds span ids to execution traces
	if err != nil {
		log.Fatal(err)
	}
	backend := tracetest.NewNoopExporter() // for example, otlptracehttp.New(ctx)
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithSpanProcessor(roots),
		sdktrace.WithBatcher(recorder.WrapExporter(backend)),
	)
	fmt.Println(provider.Shutdown(ctx))
	// Output: <nil>
}

func ExampleAnalyze() {
	var file bytes.Buffer // for example, os.Open("app.trace")
	if err := trace.Start(&file); err != nil {
		log.Fatal(err)
	}
	_, task := trace.NewTask(context.Background(), "GET /orders") // as the OpenTelemetry SDK does for each span
	time.Sleep(10 * time.Millisecond)
	task.End()
	trace.Stop()

	w, err := exectrace.Analyze(context.Background(), &file, math.MaxInt, func(b *exectrace.Breakdown) {
		fmt.Println(b.Name, "slept for 10 ms:", b.Self.Of(exectrace.Sleep) >= 10*time.Millisecond)
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(w.Spans, "span")
	// Output:
	// GET /orders slept for 10 ms: true
	// 1 span
}

// The workers of a pool exist before the spans for which they work.
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

// Print the goroutines that neither ran nor were created within 100 ms.
func ExampleRecorder_Record() {
	stop := make(chan struct{})
	defer close(stop)
	go func() { <-stop }()
	time.Sleep(10 * time.Millisecond)

	recorder, err := exectrace.New(exectrace.Config{})
	if err != nil {
		log.Fatal(err)
	}
	recording, err := recorder.Record(context.Background(), 100*time.Millisecond)
	if err != nil {
		log.Fatal(err)
	}
	for i := range recording.Goroutines {
		g := &recording.Goroutines[i]
		if key, ok := g.Key(); ok && !g.Ran && !g.Created && strings.Contains(key.Entry, "ExampleRecorder_Record") {
			fmt.Println("did not run:", key.Entry)
		}
	}
	// Output:
	// did not run: github.com/gmpulse/gmpulse/tracectx/exectrace_test.ExampleRecorder_Record.func1
}

func ExampleRecorder_Run() {
	recorder, err := exectrace.New(exectrace.Config{Mode: exectrace.DutyCycle, Every: time.Minute, For: 2 * time.Second})
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	recorder.Run(ctx) // in a program: in a goroutine
	fmt.Println("windows:", recorder.Window() != nil)
	// Output:
	// windows: false
}

func ExampleRecorder_WriteTrace() {
	recorder, err := exectrace.New(exectrace.Config{})
	if err != nil {
		log.Fatal(err)
	}
	var file bytes.Buffer // for example, os.Create("app.trace"), for "go tool trace"
	if err := recorder.WriteTrace(context.Background(), &file); err != nil {
		log.Fatal(err)
	}
	fmt.Println(bytes.HasPrefix(file.Bytes(), []byte("go 1.")))
	// Output:
	// true
}
