// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/trace"
)

// service is a web shop with four endpoints. Its warehouse packs few orders at once.
type service struct {
	url       string
	server    *http.Server
	served    sync.WaitGroup
	client    *http.Client
	tracer    trace.Tracer
	warehouse chan struct{} // its capacity is the number of orders packed at once
	queue     atomic.Int64
	answered  atomic.Uint64
	failed    atomic.Uint64
}

func newService(ctx context.Context, address string) (*service, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	s := &service{
		url:       "http://" + l.Addr().String(),
		client:    &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64}},
		tracer:    otel.Tracer("quickstart"),
		warehouse: make(chan struct{}, 8),
	}
	mux := http.NewServeMux()
	s.handle(mux, "GET /checkout", s.checkout)
	s.handle(mux, "GET /search", s.search)
	s.handle(mux, "GET /stock", s.stock)
	s.handle(mux, "GET /report", s.report)
	mux.HandleFunc("GET /readyz", func(http.ResponseWriter, *http.Request) {}) // status 200, without a span
	s.server = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	s.served.Go(func() {
		if err := s.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			slog.Error("quickstart: server", slog.Any("error", err))
		}
	})
	return s, nil
}

// handle registers f under a root span whose name is the pattern, as otelhttp and
// otelgin do. A pattern keeps the number of different span names small.
func (s *service) handle(mux *http.ServeMux, pattern string, f func(ctx context.Context, w io.Writer) error) {
	mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		ctx, span := s.tracer.Start(r.Context(), pattern, trace.WithSpanKind(trace.SpanKindServer))
		defer span.End()
		if err := f(ctx, w); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	})
}

// checkout waits until the warehouse can pack the order. Goroutines queue here.
func (s *service) checkout(ctx context.Context, w io.Writer) error {
	ctx, span := s.tracer.Start(ctx, "pack")
	defer span.End()
	s.queue.Add(1)
	defer s.queue.Add(-1)
	select {
	case s.warehouse <- struct{}{}:
		defer func() { <-s.warehouse }()
	case <-ctx.Done():
		return ctx.Err()
	}
	pause(ctx, 20*time.Millisecond)
	_, err := fmt.Fprintln(w, "packed")
	return err
}

// search uses CPU and allocates.
func (s *service) search(_ context.Context, w io.Writer) error {
	sum := sha256.Sum256(nil)
	hits := make([]string, 0, 64)
	for range 64 {
		for range 20 {
			sum = sha256.Sum256(sum[:])
		}
		hits = append(hits, hex.EncodeToString(sum[:]))
	}
	return json.NewEncoder(w).Encode(hits)
}

// stock waits for two slow calls that run at the same time.
func (s *service) stock(ctx context.Context, w io.Writer) error {
	var wg sync.WaitGroup
	for _, warehouse := range []string{"north", "south"} {
		wg.Go(func() {
			ctx, span := s.tracer.Start(ctx, "stock "+warehouse)
			defer span.End()
			pause(ctx, time.Duration(5+rand.IntN(25))*time.Millisecond)
		})
	}
	wg.Wait()
	_, err := fmt.Fprintln(w, "plenty")
	return err
}

// report takes longer than two ticks of gmpulse, so that its span gets attributes
// with the state of the process during the span.
func (s *service) report(ctx context.Context, w io.Writer) error {
	pause(ctx, 2200*time.Millisecond)
	_, err := fmt.Fprintln(w, "sold")
	return err
}

// waiting is the value of an application gauge: the number of orders in the queue.
func (s *service) waiting() float64 { return float64(s.queue.Load()) }

// load sends requests until ctx is done: the given number a second, six times as many
// in the first quarter of every fifth second, and one report every five seconds.
func (s *service) load(ctx context.Context, rate int) {
	const inFlight = 512 // a limit of the example, not of the agent
	slots := make(chan struct{}, inFlight)
	paths := []string{"/checkout", "/search", "/stock", "/search"}
	var wg sync.WaitGroup
	defer wg.Wait()
	ticker := time.NewTicker(time.Second / time.Duration(rate))
	defer ticker.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if n%(5*rate) == 3*rate/2 { // after the first tick, which attaches gmpulse to the tracer provider
			wg.Go(func() { s.get(ctx, "/report") })
		}
		burst := 1
		if n%(5*rate) < rate/4 {
			burst = 6
		}
		for range burst {
			select {
			case slots <- struct{}{}:
				wg.Go(func() {
					defer func() { <-slots }()
					s.get(ctx, paths[rand.IntN(len(paths))])
				})
			default:
				s.failed.Add(1)
			}
		}
	}
}

func (s *service) get(ctx context.Context, path string) {
	req, err := http.NewRequestWithContext(context.WithoutCancel(ctx), http.MethodGet, s.url+path, http.NoBody)
	if err != nil {
		s.failed.Add(1)
		return
	}
	resp, err := s.client.Do(req)
	if err != nil {
		s.failed.Add(1)
		return
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		s.failed.Add(1)
		return
	}
	s.answered.Add(1)
}

func (s *service) close(ctx context.Context) error {
	err := s.server.Shutdown(ctx)
	s.client.CloseIdleConnections()
	s.served.Wait()
	return err
}

// pause waits like a call to a slow dependency. It returns early when ctx is done.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
