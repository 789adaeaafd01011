// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"go.opentelemetry.io/otel"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/gmpulse/gmpulse/agent"
)

func TestServiceAnswersAndTracesReceipts(t *testing.T) {
	a, err := agent.Start(agent.WithListen("off"), agent.WithInterval(50*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer stopWithin(a.Stop)
	out := tracetest.NewInMemoryExporter()
	tp := sdktrace.NewTracerProvider(sdktrace.WithSyncer(a.WrapExporter(out)))
	otel.SetTracerProvider(a.WrapTracerProvider(tp))
	s := &service{tracer: otel.Tracer("orders")}
	server := httptest.NewServer(s.router(a.Handler()))
	defer server.Close()

	for path, want := range map[string]int{
		"/orders/7":              http.StatusOK,
		"/debug/gmpulse/metrics": http.StatusOK,
		"/debug/gmpulse/":        http.StatusOK,
		"/debug/gmpulse/healthz": http.StatusOK,
		"/debug/pprof/":          http.StatusNotFound,
		"/debug/vars":            http.StatusNotFound,
	} {
		if code, body := get(t, server.URL+path); code != want {
			t.Errorf("%s: status %d, want %d: %.200s", path, code, want, body)
		}
	}
	s.background.Wait()
	var root, receipt tracetest.SpanStub
	for _, span := range out.GetSpans() {
		switch {
		case strings.Contains(span.Name, "/orders/:id"):
			root = span
		case span.Name == "send receipt":
			receipt = span
		}
	}
	if !root.SpanContext.IsValid() || receipt.Parent.SpanID() != root.SpanContext.SpanID() || !receipt.EndTime.After(root.EndTime) {
		t.Errorf("the span of the receipt %v is not a child of the request's %v that outlives it", receipt.SpanContext, root.SpanContext)
	}
	if code, body := get(t, server.URL+"/debug/gmpulse/metrics"); code != http.StatusOK || !strings.Contains(body, "gmpulse_root_spans_started_total") {
		t.Errorf("the metrics (status %d) have no gmpulse_root_spans_started_total", code)
	}
}

func TestRunReturnsWhenTheContextIsDone(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if err := run(ctx, "127.0.0.1:0", true); err != nil {
		t.Error(err)
	}
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// The test has the code of docs/spans.md for a service without OpenTelemetry.
func TestMiddlewareNamesRequestsByRoute(t *testing.T) {
	a, err := agent.Start(agent.WithListen("off"), agent.WithInterval(time.Hour), agent.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	router := gin.New()
	router.Use(func(c *gin.Context) { c.Request.Pattern = c.FullPath() })
	router.GET("/orders/:id", func(c *gin.Context) { c.Status(http.StatusOK) })
	a.Middleware(router).ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/orders/7", http.NoBody))
	end, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := a.Stop(end); err != nil { // Stop takes the last snapshot
		t.Error(err)
	}
	for _, g := range a.Snapshot().SpanGroups {
		if g.Name == "GET /orders/:id" && g.Ended == 1 {
			return
		}
	}
	t.Errorf("no ended request of the route in %+v", a.Snapshot().SpanGroups)
}
