// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/gmpulse/gmpulse/agent"
	"github.com/gmpulse/gmpulse/agent/engine"
	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/evidence"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// startQuietly starts an agent without a server and without log lines, as the examples need it.
// A service calls agent.Start without options.
func startQuietly(opts ...agent.Option) *agent.Agent {
	opts = append([]agent.Option{agent.WithListen("off"), agent.WithLogger(slog.New(slog.DiscardHandler))}, opts...)
	a, err := agent.Start(opts...)
	if err != nil {
		log.Fatal(err)
	}
	return a
}

func stopQuietly(a *agent.Agent) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := a.Stop(ctx); err != nil {
		log.Fatal(err)
	}
}

// A service starts the agent and stops it on SIGTERM. It runs without the agent if Start returns
// an error.
func ExampleStart() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	a, err := agent.Start(agent.WithListen("off"), agent.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		slog.Error("gmpulse", slog.Any("error", err))
	}

	stop() // the example does not wait for a signal
	<-ctx.Done()

	shutdown, cancel := context.WithTimeout(context.Background(), 5*time.Second) // ctx is done
	defer cancel()
	fmt.Println(a.Stop(shutdown))
	// Output: <nil>
}

// WithExporter adds an exporter to the standard ones. It is called every 30 seconds, and a last time by Stop.
func ExampleWithExporter() {
	var last uint64
	a := startQuietly(agent.WithExporter("last", exporters.Func(func(_ context.Context, s *runtimeinfo.Snapshot) error {
		last = s.Seq
		return nil
	}), engine.Every(30*time.Second)))
	stopQuietly(a)
	fmt.Println(last == a.Snapshot().Seq)
	// Output: true
}

// The zero value of an option switches a part off.
func ExampleWithBaselines() {
	a := startQuietly(agent.WithBaselines(nil))
	stopQuietly(a)
	fmt.Println(len(a.Snapshot().Bands))
	// Output: 0
}

// Gauge adds a metric of the application.
func ExampleAgent_Gauge() {
	queue := make(chan int, 8)
	queue <- 1
	a := startQuietly(agent.WithInterval(20 * time.Millisecond))
	defer stopQuietly(a)
	err := a.Gauge("queue.depth", "{item}", "Number of items in the queue.", func() float64 { return float64(len(queue)) })
	if err != nil {
		log.Fatal(err)
	}
	for range 500 { // each tick calls the function, but waits for it for 10 ms only
		time.Sleep(10 * time.Millisecond)
		if s := a.Snapshot(); s != nil {
			if depth, ok := s.Number("queue.depth"); ok {
				fmt.Println(depth)
				break
			}
		}
	}
	// Output: 1
}

// Handler serves the agent's routes on the server of the application.
func ExampleAgent_Handler() {
	a := startQuietly()
	defer stopQuietly(a)
	mux := http.NewServeMux()
	mux.Handle("/debug/gmpulse/", a.Handler())

	r := httptest.NewRequest(http.MethodGet, "http://localhost/debug/gmpulse/", http.NoBody)
	r.RemoteAddr = "127.0.0.1:40000" // without a token, the handler answers only this machine
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	fmt.Println(w.Code)
	// Output: 200
}

// Middleware counts the requests of a server without OpenTelemetry by route.
func ExampleAgent_Middleware() {
	a := startQuietly()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /users/{id}", func(http.ResponseWriter, *http.Request) {})

	a.Middleware(mux).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/users/7", http.NoBody))
	stopQuietly(a)
	for _, g := range a.Snapshot().SpanGroups {
		fmt.Println(g.Name, g.Ended)
	}
	// Output: GET /users/{id} 1
}

// Do counts a job without a span.
func ExampleAgent_Do() {
	a := startQuietly()
	a.Do(context.Background(), "refresh prices", func(context.Context) {})
	stopQuietly(a)
	for _, g := range a.Snapshot().SpanGroups {
		fmt.Println(g.Name, g.Ended)
	}
	// Output: refresh prices 1
}

// SpanProcessor reports the spans of a TracerProvider that is not the global one.
func ExampleAgent_SpanProcessor() {
	a := startQuietly()
	tp := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(a.SpanProcessor()))
	_, span := tp.Tracer("example").Start(context.Background(), "GET /cart")
	span.End()
	stopQuietly(a)
	for _, g := range a.Snapshot().SpanGroups {
		fmt.Println(g.Name, g.Ended)
	}
	// Output: GET /cart 1
}

// WrapTracerProvider also reports spans that the sampler drops.
func ExampleAgent_WrapTracerProvider() {
	a := startQuietly()
	tp := a.WrapTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.NeverSample())))
	_, span := tp.Tracer("example").Start(context.Background(), "GET /cart")
	span.End()
	stopQuietly(a)
	for _, g := range a.Snapshot().SpanGroups {
		fmt.Println(g.Name, g.Ended)
	}
	// Output: GET /cart 1
}

// WrapExporter adds the state of the process to exported spans.
func ExampleAgent_WrapExporter() {
	a := startQuietly(agent.WithInterval(10 * time.Millisecond))
	defer stopQuietly(a)
	out := tracetest.NewInMemoryExporter()
	tp := sdktrace.NewTracerProvider(sdktrace.WithSyncer(a.WrapExporter(out)))
	for a.Snapshot() == nil {
		time.Sleep(time.Millisecond)
	}
	_, span := tp.Tracer("example").Start(context.Background(), "GET /cart")
	time.Sleep(100 * time.Millisecond) // the span lasts for some ticks
	span.End()
	for _, kv := range out.GetSpans()[0].Attributes {
		if kv.Key == "gmpulse.process.at_start.goroutine.count" {
			fmt.Println(kv.Key)
		}
	}
	// Output: gmpulse.process.at_start.goroutine.count
}

// WrapProcessor is for a span processor other than a batch processor.
func ExampleAgent_WrapProcessor() {
	a := startQuietly()
	defer stopQuietly(a)
	out := tracetest.NewInMemoryExporter()
	tp := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(a.WrapProcessor(sdktrace.NewSimpleSpanProcessor(out))))
	_, span := tp.Tracer("example").Start(context.Background(), "GET /cart")
	span.End()
	fmt.Println(len(out.GetSpans()))
	// Output: 1
}

// LogHandler adds the state of the process to log records.
func ExampleAgent_LogHandler() {
	a := startQuietly()
	defer stopQuietly(a)
	for a.Snapshot() == nil {
		time.Sleep(time.Millisecond)
	}
	var text strings.Builder
	logger := slog.New(a.LogHandler(slog.NewTextHandler(&text, nil)))
	logger.Info("served")
	fmt.Println(strings.Contains(text.String(), "gmpulse.goroutine.count="))
	// Output: true
}

// Capture creates a bundle of evidence on request. Evidence opens its files.
func ExampleAgent_Capture() {
	a := startQuietly(agent.WithEvidence(&evidence.Config{ProfileFor: 10 * time.Millisecond}))
	defer stopQuietly(a)
	id, err := a.Capture(context.Background(), "requests are slow")
	if err != nil {
		log.Fatal(err)
	}
	_, err = fs.Stat(a.Evidence(), id+"/heap.pb.gz")
	fmt.Println(err)
	// Output: <nil>
}

// Transport counts the response bodies of a client that are not closed.
func ExampleAgent_Transport() {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "42") }))
	defer upstream.Close()
	a := startQuietly()
	client := &http.Client{Transport: a.Transport(nil)}
	a.Do(context.Background(), "GET /order", func(ctx context.Context) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, upstream.URL, http.NoBody)
		if err != nil {
			log.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			log.Fatal(err)
		}
		stopQuietly(a) // takes a last sample while the body is open
		_ = resp.Body.Close()
	})
	for p := range a.Snapshot().Points() {
		if p.Metric.Name == "gmpulse.http_client.open_bodies" {
			function, _, _ := strings.Cut(p.Labels[1], " (") // without the line
			fmt.Println(p.Number, p.Labels[0], function)
		}
	}
	// Output: 1 GET /order github.com/gmpulse/gmpulse/agent_test.ExampleAgent_Transport.func2
}

// A program that sets the global TracerProvider of the OpenTelemetry SDK needs no option: the agent
// sees its spans.
func Example() {
	old := otel.GetTracerProvider()
	defer otel.SetTracerProvider(old)
	otel.SetTracerProvider(sdktrace.NewTracerProvider())

	a := startQuietly()
	_, span := otel.Tracer("example").Start(context.Background(), "GET /cart")
	span.End()
	stopQuietly(a)
	for _, g := range a.Snapshot().SpanGroups {
		fmt.Println(g.Name, g.Ended)
	}
	// Output: GET /cart 1
}

// The spans of the service have the resource that the agent has detected.
func ExampleAgent_Resource() {
	a := startQuietly(agent.WithResource(resource.NewSchemaless(semconv.ServiceName("shop"))))
	defer stopQuietly(a)

	recorder := tracetest.NewSpanRecorder() // usually an exporter
	tp := sdktrace.NewTracerProvider(sdktrace.WithResource(a.Resource()), sdktrace.WithSpanProcessor(recorder))
	_, span := tp.Tracer("").Start(context.Background(), "GET /")
	span.End()

	r := recorder.Ended()[0].Resource()
	name, _ := r.Set().Value(semconv.ServiceNameKey)
	pid, _ := r.Set().Value(semconv.ProcessPIDKey)
	fmt.Println(name.AsString(), pid.AsInt64() == int64(os.Getpid()))
	// Output: shop true
}

// A health check of the service may read the statistics of the exporters.
func ExampleAgent_Stats() {
	a := startQuietly(agent.WithExporter("broken", exporters.Func(func(context.Context, *runtimeinfo.Snapshot) error {
		return errors.New("no route to host")
	})))
	stopQuietly(a)

	for _, x := range a.Stats().Exporters {
		if x.Errors > 0 {
			fmt.Println(x.Name, x.LastError)
		}
	}
	// Output: broken no route to host
}
