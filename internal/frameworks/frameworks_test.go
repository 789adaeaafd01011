// SPDX-License-Identifier: Apache-2.0

// Package frameworks tests gmpulse with the instrumentation libraries otelhttp,
// otelgin and otelgrpc, with the client of Pyroscope, and an agent with otlpprofiles. It
// is a module of its own, so that gmpulse requires none of them.
package frameworks

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"go.opentelemetry.io/contrib/instrumentation/github.com/gin-gonic/gin/otelgin"
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/gmpulse/gmpulse/internal/testutil"
	"github.com/gmpulse/gmpulse/runtimeinfo"
	"github.com/gmpulse/gmpulse/tracectx"
)

// framework is one instrumentation library. call serves a request whose handler
// calls inside with the request's context.
type framework struct {
	rootSpan string
	call     func(t *testing.T, tp trace.TracerProvider, inside func(context.Context))
}

func frameworks() map[string]framework {
	return map[string]framework{
		"otelhttp": {"orders", func(t *testing.T, tp trace.TracerProvider, inside func(context.Context)) {
			t.Helper()
			serve(t, otelhttp.NewHandler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { inside(r.Context()) }),
				"orders", otelhttp.WithTracerProvider(tp)))
		}},
		"otelgin": {"GET /orders/:id", func(t *testing.T, tp trace.TracerProvider, inside func(context.Context)) {
			t.Helper()
			gin.SetMode(gin.ReleaseMode)
			r := gin.New()
			r.Use(otelgin.Middleware("orders", otelgin.WithTracerProvider(tp)))
			r.GET("/orders/:id", func(c *gin.Context) { inside(c.Request.Context()) })
			serve(t, r)
		}},
		"otelgrpc": {"grpc.health.v1.Health/Check", callGRPC},
	}
}

func serve(t *testing.T, h http.Handler) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/orders/7", http.NoBody))
	if w.Code != http.StatusOK {
		t.Errorf("status %d", w.Code)
	}
}

func callGRPC(t *testing.T, tp trace.TracerProvider, inside func(context.Context)) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(
		grpc.StatsHandler(otelgrpc.NewServerHandler(otelgrpc.WithTracerProvider(tp))),
		grpc.UnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			inside(ctx)
			return next(ctx, req)
		}))
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	go func() { _ = server.Serve(l) }() // returns after GracefulStop
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := grpc_health_v1.NewHealthClient(conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{}); err != nil {
		t.Error(err)
	}
	server.GracefulStop() // waits for the end of the span, which follows the response
}

func TestRootSpanOfARequestIsActiveWhileItIsServed(t *testing.T) {
	for name, f := range frameworks() {
		for decision, sampler := range map[string]sdktrace.Sampler{"sampled": sdktrace.AlwaysSample(), "dropped": sdktrace.NeverSample()} {
			for _, wrapped := range []bool{false, true} {
				if decision == "dropped" && !wrapped {
					continue // the SDK calls no processor for spans that are not recorded
				}
				t.Run(name+"/"+decision+map[bool]string{true: "/wrapped"}[wrapped], func(t *testing.T) { check(t, f, sampler, wrapped) })
			}
		}
	}
}

func check(t *testing.T, f framework, sampler sdktrace.Sampler, wrapped bool) {
	t.Helper()
	p, err := tracectx.New(tracectx.Config{History: tracectx.NewHistory(0)})
	if err != nil {
		t.Fatal(err)
	}
	sdk := sdktrace.NewTracerProvider(sdktrace.WithSampler(sampler))
	tp := trace.TracerProvider(sdk)
	if wrapped {
		tp = p.WrapTracerProvider(sdk)
	} else {
		p.Attach(sdk)
	}
	var during tracectx.Activity
	f.call(t, tp, func(ctx context.Context) {
		_, child := tp.Tracer("app").Start(ctx, "child")
		during = p.Observe(time.Now())
		child.End()
	})
	if len(during.Active) != 1 || !strings.Contains(during.Active[0].Name, f.rootSpan) {
		t.Errorf("active spans: %+v, want one named %s", during.Active, f.rootSpan)
	}
	testutil.Retry(t, func() error { // otelgrpc ends the span a moment after the call returns
		if a := p.Observe(time.Now()); a.Started != 1 || a.Ended != 1 || len(a.Active) != 0 {
			return fmt.Errorf("%d spans started, %d ended, %d active; want 1, 1, 0", a.Started, a.Ended, len(a.Active))
		}
		return nil
	})
}

// Transport counts a body once and names the line of the application, inside and outside otelhttp's
// Transport.
func TestTransportWithOtelhttp(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("42")) }))
	defer upstream.Close()
	base := &http.Transport{}
	defer base.CloseIdleConnections()
	p, err := tracectx.New(tracectx.Config{})
	if err != nil {
		t.Fatal(err)
	}
	spans := tracetest.NewSpanRecorder()
	tp := otelhttp.WithTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)))
	for name, rt := range map[string]http.RoundTripper{
		"inside":  otelhttp.NewTransport(p.Transport(base), tp),
		"outside": p.Transport(otelhttp.NewTransport(base, tp)),
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, upstream.URL, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := (&http.Client{Transport: rt}).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if open, line := openBodies(t, p); open != 1 || !strings.Contains(line, ".TestTransportWithOtelhttp (frameworks_test.go:") {
			t.Errorf("%s: %v open bodies at %s", name, open, line)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Fatal(err)
		}
		if open, _ := openBodies(t, p); open != 0 {
			t.Errorf("%s: %v open bodies at the end", name, open)
		}
		_ = resp.Body.Close()
	}
	if n := len(spans.Ended()); n != 2 {
		t.Errorf("%d spans ended, want 2", n)
	}
}

// openBodies returns the number of open bodies and the line of one.
func openBodies(t *testing.T, p *tracectx.Processor) (open float64, line string) {
	t.Helper()
	c, err := runtimeinfo.NewCatalogue(p.Metrics()...)
	if err != nil {
		t.Fatal(err)
	}
	b := runtimeinfo.NewBuilder(c, runtimeinfo.Snapshot{Time: time.Now()}, nil)
	d := b.Draft()
	p.Analyze(d)
	b.Merge(d)
	for point := range b.Snapshot().Points() {
		if point.Metric.Name == "gmpulse.http_client.open_bodies" && point.Number > 0 {
			open, line = open+point.Number, point.Labels[1]
		}
	}
	return open, line
}
