// SPDX-License-Identifier: Apache-2.0

// Package frameworks tests gmpulse with the instrumentations otelhttp, otelgin and
// otelgrpc. It is a separate module, so that gmpulse requires none of them.
package frameworks

import (
	"context"
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
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/gmpulse/gmpulse/tracectx"
)

// A framework serves one request, which calls inside.
type framework struct {
	name string // of the root span
	call func(t *testing.T, tp trace.TracerProvider, inside func(context.Context))
}

func frameworks() map[string]framework {
	return map[string]framework{
		"otelhttp": {"service", func(t *testing.T, tp trace.TracerProvider, inside func(context.Context)) {
			t.Helper()
			serve(t, otelhttp.NewHandler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { inside(r.Context()) }),
				"service", otelhttp.WithTracerProvider(tp)))
		}},
		"otelgin": {"GET /orders/:id", func(t *testing.T, tp trace.TracerProvider, inside func(context.Context)) {
			t.Helper()
			gin.SetMode(gin.ReleaseMode)
			r := gin.New()
			r.Use(otelgin.Middleware("service", otelgin.WithTracerProvider(tp)))
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
	go func() { _ = server.Serve(l) }() // until Stop
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := grpc_health_v1.NewHealthClient(conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{}); err != nil {
		t.Error(err)
	}
	server.GracefulStop() // the span ends after the response
}

func TestOneRootPerRequest(t *testing.T) {
	for name, f := range frameworks() {
		for way, sampler := range map[string]sdktrace.Sampler{"sampled": sdktrace.AlwaysSample(), "dropped": sdktrace.NeverSample()} {
			for _, wrapped := range []bool{false, true} {
				if way == "dropped" && !wrapped {
					continue // span processors do not see them
				}
				t.Run(name+"/"+way+map[bool]string{true: "/wrapped"}[wrapped], func(t *testing.T) { check(t, f, sampler, wrapped) })
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
	if len(during.Active) != 1 || !strings.Contains(during.Active[0].Name, f.name) {
		t.Errorf("active: %+v, want %s", during.Active, f.name)
	}
	after := p.Observe(time.Now())
	for deadline := time.Now().Add(10 * time.Second); after.Ended == 0 && time.Now().Before(deadline); after = p.Observe(time.Now()) {
		time.Sleep(time.Millisecond) // otelgrpc ends the span after its context
	}
	if after.Started != 1 || after.Ended != 1 || len(after.Active) != 0 {
		t.Errorf("%d started, %d ended, %d active", after.Started, after.Ended, len(after.Active))
	}
}
