// SPDX-License-Identifier: Apache-2.0

// Gin is a service with Gin and gmpulse: otelgin traces requests, work that outlives a
// request stays in its trace, and the router serves the agent's page.
//
//	go -C examples/gin run .
//	curl localhost:8080/orders/7
//	open http://localhost:8080/debug/gmpulse/
//
// The program prints spans longer than a second (GET /slow is one) with the state of
// the process during the span. It does not link net/http/pprof, which would serve
// profiles to every client.
//
// With -bug a handler passes its *gin.Context to a goroutine. This is a mistake: Gin
// reuses the Context for another request as soon as the handler has returned, and the
// goroutine then works with that request's data.
package main

import (
	"context"
	"errors"
	"flag"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/gin-gonic/gin"
	"go.opentelemetry.io/contrib/instrumentation/github.com/gin-gonic/gin/otelgin"
	"go.opentelemetry.io/otel"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/gmpulse/gmpulse/agent"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8080", "where to listen")
	limit := flag.Duration("for", 0, "end after this time, 0 for never")
	bug := flag.Bool("bug", false, "pass *gin.Context to a goroutine")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if *limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, *limit)
		defer cancel()
	}
	if err := run(ctx, *listen, *bug); err != nil {
		slog.Error("gin example", slog.Any("error", err))
		os.Exit(1)
	}
}

// run serves until ctx is done.
func run(ctx context.Context, listen string, bug bool) error {
	a, err := agent.Start(agent.WithListen("off")) // the service's router serves the page
	if err != nil {
		return err
	}
	defer stopWithin(a.Stop)
	slog.SetDefault(slog.New(a.LogHandler(slog.NewTextHandler(os.Stderr, nil))))

	// A real service has the exporter for its backend in place of printer.
	tp := sdktrace.NewTracerProvider(sdktrace.WithBatcher(a.WrapExporter(printer{})))
	defer stopWithin(tp.Shutdown)
	otel.SetTracerProvider(a.WrapTracerProvider(tp)) // gmpulse also sees requests that the sampler drops

	s := &service{bug: bug, tracer: otel.Tracer("orders")}
	defer s.background.Wait()
	server := &http.Server{Addr: listen, Handler: s.router(a.Handler()), ReadHeaderTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.ListenAndServe() }()
	slog.Info("listening", slog.String("service", "http://"+listen+"/orders/7"), slog.String("gmpulse", "http://"+listen+"/debug/gmpulse/"))
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	stopWithin(server.Shutdown)
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func stopWithin(stop func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := stop(ctx); err != nil {
		slog.Warn("stop", slog.Any("error", err))
	}
}

type service struct {
	bug        bool
	tracer     trace.Tracer
	background sync.WaitGroup // receipts in progress
}

// router returns the service's routes and, below /debug/gmpulse/, the agent's routes.
// The agent answers only clients of this machine, unless GMPULSE_TOKEN is set.
func (s *service) router(pulse http.Handler) *gin.Engine {
	gin.SetMode(gin.ReleaseMode)
	r := gin.New()
	r.Use(gin.Recovery(), otelgin.Middleware("orders"))
	r.GET("/orders/:id", s.order)
	r.GET("/slow", s.slow)
	r.GET("/debug/gmpulse/*path", gin.WrapH(http.StripPrefix("/debug/gmpulse", pulse)))
	return r
}

// order answers immediately and sends the receipt later.
func (s *service) order(c *gin.Context) {
	id := c.Param("id")
	if s.bug {
		s.background.Go(func() { s.receiptOfContext(c) })
	} else {
		// Read values from the gin.Context before the handler returns. The request's
		// context carries the span. WithoutCancel is necessary because the request
		// ends before the receipt is sent.
		ctx := context.WithoutCancel(c.Request.Context())
		s.background.Go(func() { s.receipt(ctx, id) })
	}
	c.JSON(http.StatusOK, gin.H{"id": id})
}

func (s *service) receipt(ctx context.Context, id string) {
	ctx, span := s.tracer.Start(ctx, "send receipt")
	defer span.End()
	time.Sleep(50 * time.Millisecond)
	slog.InfoContext(ctx, "receipt sent", slog.String("order", id))
}

// receiptOfContext has the bug: when it reads c, c may belong to another request.
func (s *service) receiptOfContext(c *gin.Context) {
	time.Sleep(50 * time.Millisecond)
	slog.InfoContext(c.Request.Context(), "receipt sent", slog.String("order", c.Param("id")))
}

// slow makes a span that is long enough for printer.
func (s *service) slow(c *gin.Context) {
	select {
	case <-time.After(2500 * time.Millisecond):
		c.String(http.StatusOK, "done\n")
	case <-c.Request.Context().Done():
	}
}

// printer is a span exporter that logs spans longer than a second.
type printer struct{}

func (printer) ExportSpans(_ context.Context, spans []sdktrace.ReadOnlySpan) error {
	for _, span := range spans {
		took := span.EndTime().Sub(span.StartTime())
		if took < time.Second {
			continue
		}
		attrs := []any{slog.String("name", span.Name()), slog.Duration("took", took), slog.String("trace_id", span.SpanContext().TraceID().String())}
		for _, a := range span.Attributes() {
			if len(a.Key) > len("gmpulse.") && a.Key[:len("gmpulse.")] == "gmpulse." {
				attrs = append(attrs, slog.Any(string(a.Key), a.Value.AsInterface()))
			}
		}
		slog.Info("slow span", attrs...)
	}
	return nil
}

func (printer) Shutdown(context.Context) error { return nil }
