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

// shop is the service: four endpoints, and a warehouse that takes its time.
type shop struct {
	url       string
	server    *http.Server
	served    sync.WaitGroup
	client    *http.Client
	tracer    trace.Tracer
	warehouse chan struct{} // capacity: how many orders it packs at once
	queue     atomic.Int64
	answered  atomic.Uint64
	failed    atomic.Uint64
}

func newShop(ctx context.Context, address string) (*shop, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	s := &shop{
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
	mux.HandleFunc("GET /readyz", func(http.ResponseWriter, *http.Request) {}) // 200 while the shop is open, and no span
	s.server = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	s.served.Go(func() {
		if err := s.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			slog.Error("quickstart: server", slog.Any("error", err))
		}
	})
	return s, nil
}

// handle gives each request a root span with a name of low cardinality, as
// otelhttp and otelgin do.
func (s *shop) handle(mux *http.ServeMux, pattern string, f func(ctx context.Context, w io.Writer) error) {
	mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		ctx, span := s.tracer.Start(r.Context(), pattern, trace.WithSpanKind(trace.SpanKindServer))
		defer span.End()
		if err := f(ctx, w); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	})
}

// checkout waits for a place in the warehouse: this is where goroutines queue.
func (s *shop) checkout(ctx context.Context, w io.Writer) error {
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

// search works the CPU and allocates.
func (s *shop) search(_ context.Context, w io.Writer) error {
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

// stock asks two slow places at once.
func (s *shop) stock(ctx context.Context, w io.Writer) error {
	var wg sync.WaitGroup
	for _, place := range []string{"north", "south"} {
		wg.Go(func() {
			ctx, span := s.tracer.Start(ctx, "ask "+place)
			defer span.End()
			pause(ctx, time.Duration(5+rand.IntN(25))*time.Millisecond)
		})
	}
	wg.Wait()
	_, err := fmt.Fprintln(w, "plenty")
	return err
}

// report takes long enough for the ticks of gmpulse to tell what the process went
// through meanwhile: its span gets attributes of that.
func (s *shop) report(ctx context.Context, w io.Writer) error {
	pause(ctx, 2200*time.Millisecond)
	_, err := fmt.Fprintln(w, "sold")
	return err
}

// waiting is the application's own gauge.
func (s *shop) waiting() float64 { return float64(s.queue.Load()) }

// load sends requests at a rate that swells and ebbs, and asks for a report every
// five seconds, until ctx is done.
func (s *shop) load(ctx context.Context, rate int) {
	const inFlight = 512 // bounds the example, not the agent
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
		if n%(5*rate) == 3*rate/2 { // after the first tick, when gmpulse knows of the provider
			wg.Go(func() { s.get(ctx, "/report") })
		}
		burst := 1
		if n%(5*rate) < rate/4 {
			burst = 6 // a promotion for a quarter of a second, every five
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

func (s *shop) get(ctx context.Context, path string) {
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

func (s *shop) close(ctx context.Context) error {
	err := s.server.Shutdown(ctx)
	s.client.CloseIdleConnections()
	s.served.Wait()
	return err
}

// pause sleeps as a slow dependency would, but not beyond the request.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
