// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"time"

	"go.opentelemetry.io/otel"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/gmpulse/gmpulse/agent"
	"github.com/gmpulse/gmpulse/examples/child"
	"github.com/gmpulse/gmpulse/exporters/prom"
)

// serve runs an ordinary service with spans and gmpulse. It prints the addresses of
// the service and of the metrics, and returns when the parent process has ended.
func serve(ctx context.Context, pool bool) (err error) {
	provider := sdktrace.NewTracerProvider()
	otel.SetTracerProvider(provider)
	a, err := agent.Start(
		agent.WithListen("127.0.0.1:0"),
		agent.WithLogger(slog.New(slog.DiscardHandler)),
		// A tenth of the default, so that the estimate needs one minute instead of ten.
		agent.WithHostInterval(time.Second),
		agent.WithMetrics("capacity"),
		agent.WithPrometheus(prom.Config{GoCollectors: true}), // process_cpu_seconds_total is read at each scrape
	)
	if err != nil {
		return err
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	wait := func(context.Context) {}
	if pool {
		wait = newPool().use
	}
	server := &http.Server{Handler: prices(otel.Tracer("capacity"), wait), ReadHeaderTimeout: 5 * time.Second}
	served := make(chan error, 1) // so that Serve's result does not block the goroutine
	go func() { served <- server.Serve(l) }()
	fmt.Printf("http://%s/prices %smetrics\n", l.Addr(), a.URL())

	select {
	case <-child.ParentDone():
	case <-ctx.Done():
	case err = <-served:
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return errors.Join(err, server.Shutdown(end), a.Stop(end), provider.Shutdown(end))
}

// price is one element of the response.
type price struct {
	Item  string
	Cents uint32
	Seal  []byte
}

// prices answers with a sorted list. A request hashes, sorts, encodes and allocates.
func prices(tracer trace.Tracer, wait func(context.Context)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, span := tracer.Start(r.Context(), "GET /prices", trace.WithSpanKind(trace.SpanKindServer))
		defer span.End()
		wait(ctx)
		list := make([]price, 0, 200)
		seal := sha256.Sum256([]byte(r.URL.Path))
		for i := range cap(list) {
			for range 250 {
				seal = sha256.Sum256(seal[:])
			}
			list = append(list, price{
				Item: fmt.Sprintf("item %d of %x", i, seal[:4]), Cents: uint32(seal[5])<<8 | uint32(seal[6]), Seal: slices.Clone(seal[:]),
			})
		}
		slices.SortFunc(list, func(a, b price) int { return int(a.Cents) - int(b.Cents) })
		if err := json.NewEncoder(w).Encode(list); err != nil {
			span.RecordError(err)
		}
	})
}

// pool stands for a pool of connections to a slow server.
type pool chan struct{}

// newPool returns a pool of four connections: a hundred requests a second.
func newPool() pool { return make(pool, 4) }

// use takes a connection, waits for the server's response, and returns the connection.
func (p pool) use(ctx context.Context) {
	select {
	case p <- struct{}{}:
		defer func() { <-p }()
	case <-ctx.Done():
		return
	}
	select {
	case <-time.After(40 * time.Millisecond):
	case <-ctx.Done():
	}
}
