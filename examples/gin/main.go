// SPDX-License-Identifier: Apache-2.0

// Gin is a service with Gin and gmpulse: requests are traced by otelgin, work that
// outlives a request keeps its trace, and the agent's page is part of the router.
//
//	go -C examples/gin run .
//	curl localhost:8080/orders/7
//	open http://localhost:8080/debug/gmpulse/
//
// Spans longer than a second are printed with what the process went through
// meanwhile (GET /slow is one). net/http/pprof is not linked, so no profile can be
// had by strangers.
//
// With -bug a handler hands its *gin.Context to a goroutine, which is the mistake
// to look at: Gin gives the Context to another request as soon as the handler has
// returned, and the goroutine works with that request's data.
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
	limit := flag.Duration("for", 0, "end by itself after this long; 0 is never")
	bug := flag.Bool("bug", false, "hand *gin.Context to a goroutine")
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

// run is the service from start to end.
func run(ctx context.Context, listen string, bug bool) error {
	a, err := agent.Start(agent.WithListen("off")) // the page is on our own router
	if err != nil {
		return err
	}
	defer stopWithin(a.Stop)
	slog.SetDefault(slog.New(a.LogHandler(slog.NewTextHandler(os.Stderr, nil))))

	// In place of printer: the exporter for your backend.
	tp := sdktrace.NewTracerProvider(sdktrace.WithBatcher(a.WrapExporter(printer{})))
	defer stopWithin(tp.Shutdown)
	otel.SetTracerProvider(a.WrapTracerProvider(tp)) // sees requests that a sampler would drop, too

	s := &shop{bug: bug, tracer: otel.Tracer("shop")}
	defer s.background.Wait()
	server := &http.Server{Addr: listen, Handler: s.router(a.Handler()), ReadHeaderTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.ListenAndServe() }()
	slog.Info("listening", slog.String("shop", "http://"+listen+"/orders/7"), slog.String("gmpulse", "http://"+listen+"/debug/gmpulse/"))
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

// shop is the service.
type shop struct {
	bug        bool
	tracer     trace.Tracer
	background sync.WaitGroup // receipts under way
}

// router has the shop's routes and, below /debug/gmpulse/, the agent's. Those answer
// this machine only, unless GMPULSE_TOKEN is set.
func (s *shop) router(pulse http.Handler) *gin.Engine {
	gin.SetMode(gin.ReleaseMode)
	r := gin.New()
	r.Use(gin.Recovery(), otelgin.Middleware("shop"))
	r.GET("/orders/:id", s.order)
	r.GET("/slow", s.slow)
	r.GET("/debug/gmpulse/*path", gin.WrapH(http.StripPrefix("/debug/gmpulse", pulse)))
	return r
}

// order answers at once and sends the receipt later.
func (s *shop) order(c *gin.Context) {
	id := c.Param("id")
	if s.bug {
		s.background.Go(func() { s.receiptOfContext(c) })
	} else {
		// Values are taken out of the gin.Context now, while it is ours. The
		// request's context knows the span; WithoutCancel, for the request is
		// over before the receipt is sent.
		ctx := context.WithoutCancel(c.Request.Context())
		s.background.Go(func() { s.receipt(ctx, id) })
	}
	c.JSON(http.StatusOK, gin.H{"id": id})
}

func (s *shop) receipt(ctx context.Context, id string) {
	ctx, span := s.tracer.Start(ctx, "send receipt")
	defer span.End()
	time.Sleep(50 * time.Millisecond)
	slog.InfoContext(ctx, "receipt sent", slog.String("order", id))
}

// receiptOfContext is the mistake: when it looks, c may be another request's.
func (s *shop) receiptOfContext(c *gin.Context) {
	time.Sleep(50 * time.Millisecond)
	slog.InfoContext(c.Request.Context(), "receipt sent", slog.String("order", c.Param("id")))
}

// slow waits, so that there is a span long enough to be told about.
func (s *shop) slow(c *gin.Context) {
	select {
	case <-time.After(2500 * time.Millisecond):
		c.String(http.StatusOK, "done\n")
	case <-c.Request.Context().Done():
	}
}

// printer is an exporter that prints what was slow.
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
