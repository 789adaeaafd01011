// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/gmpulse/gmpulse/agent"
)

func fetched(t *testing.T, url string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		return err.Error()
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// routes returns a mux with several kinds of routes.
func routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /users/{id}", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "user") })
	mux.HandleFunc("/any/{id}", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.PathValue("id")) })
	mux.HandleFunc("GET /flush", func(w http.ResponseWriter, _ *http.Request) {
		if err := http.NewResponseController(w).Flush(); err != nil {
			fmt.Fprint(w, err)
		}
	})
	mux.HandleFunc("GET /hijack", func(w http.ResponseWriter, _ *http.Request) {
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			fmt.Fprint(w, err)
			return
		}
		defer c.Close()
		fmt.Fprint(rw, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nraw: ")
		rw.Flush()
	})
	mux.HandleFunc("GET /panic", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	return mux
}

// hidden returns h as a handler that is not a ServeMux.
func hidden(h http.Handler) http.Handler { return http.HandlerFunc(h.ServeHTTP) }

func TestMiddlewareCountsRequestsByRoute(t *testing.T) {
	for name, handler := range map[string]func(a *agent.Agent) http.Handler{
		"around a mux":         func(a *agent.Agent) http.Handler { return a.Middleware(routes()) },
		"around a hidden mux":  func(a *agent.Agent) http.Handler { return a.Middleware(hidden(routes())) },
		"twice":                func(a *agent.Agent) http.Handler { return a.Middleware(a.Middleware(routes())) },
		"behind another's mux": func(a *agent.Agent) http.Handler { return a.Middleware(hidden(a.Middleware(routes()))) },
	} {
		t.Run(name, func(t *testing.T) {
			a, _ := start(t, agent.WithInterval(time.Hour))
			h := handler(a)
			var served sync.WaitGroup // the server does not wait for hijacked connections
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				served.Add(1)
				defer served.Done()
				h.ServeHTTP(w, r)
			}))
			defer server.Close()
			for path, want := range map[string]string{"/users/7": "user", "/any/8": "8", "/flush": "", "/hijack": "raw: ", "/panic": "EOF", "/nothing": "404 page not found\n"} {
				if got := fetched(t, server.URL+path); got != want && (want != "EOF" || !strings.Contains(got, "EOF")) {
					t.Errorf("%s: %q", path, got)
				}
			}
			server.Close()
			served.Wait()
			got := stopAndCount(t, a)
			for _, want := range []string{"GET /users/{id}", "GET /any/{id}", "GET /flush", "GET /hijack", "GET /panic", "GET"} {
				if got[want] != 1 {
					t.Errorf("ended: %v", got)
					break
				}
			}
			if s := a.Snapshot().Spans; len(s) != 0 {
				t.Errorf("in flight: %+v", s)
			}
		})
	}
}

// A request is counted once, whether its OpenTelemetry span begins inside or outside the
// middleware.
func TestMiddlewareWithOpenTelemetry(t *testing.T) {
	for name, wrapped := range map[string]bool{"registered": false, "wrapped": true} {
		t.Run(name, func(t *testing.T) {
			a, _ := start(t, agent.WithInterval(time.Hour))
			var tp trace.TracerProvider = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(a.SpanProcessor()))
			if wrapped {
				tp = a.WrapTracerProvider(sdktrace.NewTracerProvider())
			}
			spans := func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					ctx, span := tp.Tracer("").Start(r.Context(), "span", trace.WithSpanKind(trace.SpanKindServer))
					defer span.End()
					next.ServeHTTP(w, r.WithContext(ctx))
				})
			}
			server := httptest.NewServer(spans(a.Middleware(routes())))
			fetched(t, server.URL+"/users/7")
			server.Close()
			server = httptest.NewServer(a.Middleware(spans(routes())))
			fetched(t, server.URL+"/any/7")
			server.Close()
			a.Do(t.Context(), "job", func(ctx context.Context) {
				_, span := tp.Tracer("").Start(ctx, "part of the job")
				span.End()
			})
			if got := stopAndCount(t, a); got["span"] != 1 || got["GET"] != 1 || got["job"] != 1 || len(got) != 3 {
				t.Errorf("ended: %v", got)
			}
		})
	}
}

func TestDisabledMiddleware(t *testing.T) {
	t.Setenv("OTEL_SDK_DISABLED", "true")
	a, _ := start(t)
	mux := routes()
	if a.Middleware(mux) != http.Handler(mux) {
		t.Error("a disabled agent wraps the handler")
	}
	called := false
	a.Do(t.Context(), "job", func(context.Context) { called = true })
	if !called {
		t.Error("a disabled agent does not call the job")
	}
}
