// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"time"

	"go.opentelemetry.io/otel"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/gmpulse/gmpulse/agent"
)

// serve is the service: an ordinary one, with spans and gmpulse. It prints its two
// addresses and ends with its standard input, that is, with the example.
func serve(ctx context.Context, pool bool) (err error) {
	provider := sdktrace.NewTracerProvider()
	otel.SetTracerProvider(provider)
	a, err := agent.Start(
		agent.WithListen("127.0.0.1:0"),
		agent.WithLogger(slog.New(slog.DiscardHandler)),
		// Ten times as often as by default, so that a minute teaches what ten would.
		agent.WithHostInterval(time.Second),
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
	served := make(chan error, 1) // one result, read or not
	go func() { served <- server.Serve(l) }()
	fmt.Printf("http://%s/prices %smetrics\n", l.Addr(), a.URL())

	gone := make(chan struct{})
	go func() { // ends with the process that started this one
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(gone)
	}()
	select {
	case <-gone:
	case <-ctx.Done():
	case err = <-served:
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return errors.Join(err, server.Shutdown(end), a.Stop(end), provider.Shutdown(end))
}

// price is what the service answers with.
type price struct {
	Item  string
	Cents uint32
	Seal  []byte
}

// prices answers with a sorted list: hashing, sorting, encoding and garbage.
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

// pool is a few connections to something slow.
type pool chan struct{}

// newPool returns a pool that lets a hundred requests a second through.
func newPool() pool { return make(pool, 4) }

// use takes a connection, waits for an answer, and gives it back.
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
