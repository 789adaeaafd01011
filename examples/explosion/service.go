// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/trace"
)

// service is the service with the bug. Its requests share peers, a server and a lock.
type service struct {
	root   string // name of the root span of each request
	tracer trace.Tracer
	peers  *peers
	server *httptest.Server // in this process, for the kind whose clients stay connected
	client *http.Client
	lock   sync.Mutex

	mu    sync.Mutex
	conns []net.Conn // kept reachable: the garbage collector closes unreachable connections
}

// newService starts the peers, which the caller stops. The other parts run until the
// program ends.
func newService(ctx context.Context, k *kind) (*service, error) {
	p, err := startPeers(ctx, k.name)
	if err != nil {
		return nil, err
	}
	return &service{
		root: k.root, tracer: otel.Tracer("explosion"), peers: p,
		server: httptest.NewServer(http.HandlerFunc(answer)),
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 4}},
	}, nil
}

func (s *service) keep(c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns = append(s.conns, c)
}

// request runs f under a root span, as a server's middleware does, or without a span
// if the kind has none.
func (s *service) request(ctx context.Context, f func(ctx context.Context, s *service)) {
	if s.root == "" {
		f(ctx, s)
		return
	}
	ctx, span := s.tracer.Start(ctx, s.root)
	defer span.End()
	f(ctx, s)
}

// load calls f at a rate that may change with time, each call on its own goroutine,
// until ctx is done. It skips a call while 3,000 are in progress.
func load(ctx context.Context, perSecond func(elapsed time.Duration) float64, f func()) {
	slots := make(chan struct{}, 3000)
	start := time.Now()
	for {
		wait := time.Duration(float64(time.Second) / max(perSecond(time.Since(start)), 0.1))
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		select {
		case slots <- struct{}{}:
			go func() {
				defer func() { <-slots }()
				f()
			}()
		default: // too many in progress
		}
	}
}
