// SPDX-License-Identifier: Apache-2.0

package budget

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/gmpulse/gmpulse/agent"
	"github.com/gmpulse/gmpulse/agent/engine"
	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/internal/summary"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// once returns a function that makes a summary at its first call.
func once(summary func(testing.TB) *runtimeinfo.Snapshot) func(testing.TB) *runtimeinfo.Snapshot {
	var s *runtimeinfo.Snapshot
	return func(tb testing.TB) *runtimeinfo.Snapshot {
		tb.Helper()
		if s == nil {
			s = summary(tb)
		}
		return s
	}
}

// liveInPod returns a summary of seven ticks of an agent in a service like the quick start, which takes the process
// for a container of a pod: an HTTP server with four endpoints, 25 connections, traffic, garbage, a gauge
// and a memory limit.
func liveInPod(tb testing.TB) *runtimeinfo.Snapshot {
	tb.Helper()
	for _, v := range [][2]string{
		{"KUBERNETES_SERVICE_HOST", "10.0.0.1"},
		{"OTEL_SERVICE_NAME", "checkout"},
		{"POD_NAME", "checkout-7d9f8b6c5-x2x9k"},
		{"POD_NAMESPACE", "shop-production"},
		{"POD_UID", "8a7c3f64-9b1d-4e2a-b6c5-1f0e2d3c4b5a"},
		{"CONTAINER_NAME", "checkout"},
		{"NODE_NAME", "ip-10-0-17-203.eu-central-1.compute.internal"},
		{"OTEL_RESOURCE_ATTRIBUTES", "service.version=1.4.2,container.id=" + strings.Repeat("4bf92f3577b34da6", 4)},
	} {
		tb.Setenv(v[0], v[1])
	}
	limit := debug.SetMemoryLimit(1 << 30)
	defer debug.SetMemoryLimit(limit)

	var sum summary.Summary
	enough, ticks := make(chan struct{}), 0
	collect := exporters.Func(func(_ context.Context, s *runtimeinfo.Snapshot) error {
		if ticks++; ticks > 5 && ticks <= 12 { // the first ticks have fewer values
			sum.Add(s)
		}
		if ticks == 12 {
			close(enough)
		}
		return nil
	})
	a, err := agent.Start(agent.WithListen("off"), agent.WithInterval(250*time.Millisecond), agent.WithHostInterval(500*time.Millisecond),
		agent.WithExporter("collect", collect, engine.EveryTick()), agent.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		tb.Fatal(err)
	}
	served := serve(tb, a)
	<-enough
	served()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := a.Stop(ctx); err != nil {
		tb.Error(err)
	}
	return withoutFaults(sum.Snapshot())
}

// withoutFaults returns s without the counters of losses and failures, which a record has only on a machine that
// runs too many other jobs.
func withoutFaults(s *runtimeinfo.Snapshot) *runtimeinfo.Snapshot {
	var points []runtimeinfo.Point
	for p := range s.Points() {
		if !p.Metric.Fault {
			points = append(points, p)
		}
	}
	x := runtimeinfo.NewSnapshot(points...)
	x.Seq, x.Time, x.Start, x.Since, x.Ticks, x.Resource = s.Seq, s.Time, s.Start, s.Since, s.Ticks, s.Resource
	x.Spans, x.SpanGroups, x.Bands, x.Incidents = s.Spans, s.SpanGroups, s.Bands, s.Incidents
	return x
}

// serve starts a server and 25 clients of it. The result stops them.
func serve(tb testing.TB, a *agent.Agent) func() {
	tb.Helper()
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(a.SpanProcessor())).Tracer("")
	var queue float64
	if err := a.Gauge("shop.queue.depth", "{order}", "Orders.", func() float64 { queue++; return queue }); err != nil {
		tb.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, span := tracer.Start(r.Context(), "GET "+r.URL.Path)
		defer span.End()
		time.Sleep(20 * time.Millisecond)
		_, _ = w.Write(slices.Repeat([]byte("garbage "), 1<<15))
	}))
	ctx, cancel := context.WithCancel(tb.Context())
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	var clients sync.WaitGroup
	for i := range 25 {
		clients.Go(func() {
			for ctx.Err() == nil {
				request(ctx, client, server.URL+[...]string{"/checkout", "/search", "/stock", "/report"}[i%4])
			}
		})
	}
	return func() {
		cancel()
		clients.Wait()
		client.CloseIdleConnections()
		server.Close()
	}
}

// request makes a request and pauses. It ignores errors, which the end of the test causes.
func request(ctx context.Context, client *http.Client, url string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return
	}
	if r, err := client.Do(req); err == nil {
		_, _ = io.Copy(io.Discard, r.Body)
		_ = r.Body.Close()
	}
	time.Sleep(20 * time.Millisecond)
}
