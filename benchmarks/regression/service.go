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
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/gmpulse/gmpulse/agent"
	"github.com/gmpulse/gmpulse/examples/child"
)

// serve runs the service until the parent ends it. It prints the addresses of the service and of its page.
func serve(work float64) error {
	provider := sdktrace.NewTracerProvider()
	otel.SetTracerProvider(provider)
	a, err := agent.Start(agent.WithListen("127.0.0.1:0"), agent.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	tracer := provider.Tracer("regression")
	for route, units := range map[string]int{"GET /cart": 120, "GET /item": 50} {
		mux.HandleFunc(route, handler(tracer, route, int(float64(units)*work+0.5)))
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(l) }()
	fmt.Println(l.Addr(), a.URL())
	<-child.ParentDone()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return errors.Join(server.Shutdown(ctx), a.Stop(ctx))
}

type answer struct {
	Items []string
	Sum   [sha256.Size]byte
}

// handler hashes so many pieces of 64 KiB, 60 to 80 µs each, and encodes a list.
func handler(tracer trace.Tracer, route string, units int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, span := tracer.Start(r.Context(), route)
		defer span.End()
		var x answer
		piece := make([]byte, 64<<10)
		for i := range units {
			x.Sum = sha256.Sum256(piece)
			copy(piece, x.Sum[:])
			x.Items = append(x.Items, fmt.Sprintf("item %d: %x", i, x.Sum[:4]))
		}
		_ = json.NewEncoder(w).Encode(x) // an error means that the client is gone
	}
}

// service is a running service.
type service struct {
	address, page string
	stop          func()
}

func start(ctx context.Context, work float64) (s service, err error) {
	s.stop, err = child.Start(ctx, nil, []string{fmt.Sprintf("-serve=%g", work)}, &s.address, &s.page)
	return s, err
}

// load sends requests as a Poisson process until stop is called.
type load struct {
	cancel context.CancelFunc
	wg     sync.WaitGroup
	client *http.Client
	failed atomic.Pointer[error]
}

func startLoad(ctx context.Context, address string, rate float64) *load {
	ctx, cancel := context.WithCancel(ctx)
	l := &load{cancel: cancel, client: &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
	l.wg.Go(func() {
		r := rand.New(rand.NewPCG(1, 2)) // the same requests on both sides
		next := time.Now()
		for {
			next = next.Add(time.Duration(r.ExpFloat64() / rate * float64(time.Second)))
			url := "http://" + address + [...]string{"/cart", "/item", "/item"}[r.IntN(3)]
			select {
			case <-ctx.Done():
				return
			case <-time.After(time.Until(next)):
			}
			l.wg.Go(func() {
				if err := l.get(ctx, url); err != nil && ctx.Err() == nil {
					l.failed.CompareAndSwap(nil, &err)
				}
			})
		}
	})
	return l
}

func (l *load) get(ctx context.Context, url string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	resp, err := l.client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

// stop ends the load and returns the error of the first request that failed.
func (l *load) stop() error {
	l.cancel()
	l.wg.Wait()
	l.client.CloseIdleConnections()
	if err := l.failed.Load(); err != nil {
		return *err
	}
	return nil
}
