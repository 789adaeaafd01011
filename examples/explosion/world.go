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

// world is what the requests of one kind share: peers, a server, a lock.
type world struct {
	root   string // name of the root span of every request
	tracer trace.Tracer
	peers  *peers
	server *httptest.Server // of this process: the connections of its clients grow
	client *http.Client
	lock   sync.Mutex

	mu    sync.Mutex
	conns []net.Conn // kept, so that they are not collected
}

// newWorld starts the peers, which the caller ends. The rest of a world lives as long
// as the program.
func newWorld(ctx context.Context, k *kind) (*world, error) {
	p, err := startPeers(ctx, k.name)
	if err != nil {
		return nil, err
	}
	return &world{
		root: k.root, tracer: otel.Tracer("explosion"), peers: p,
		server: httptest.NewServer(http.HandlerFunc(answer)),
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 4}},
	}, nil
}

func (w *world) keep(c net.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conns = append(w.conns, c)
}

// request runs f under a root span, as a server's middleware does, or under none.
func (w *world) request(ctx context.Context, f func(ctx context.Context, w *world)) {
	if w.root == "" {
		f(ctx, w)
		return
	}
	ctx, span := w.tracer.Start(ctx, w.root)
	defer span.End()
	f(ctx, w)
}

// load starts requests at a rate that may change with time, each on a goroutine
// of its own, at most 3,000 under way, until ctx is done.
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
		default: // as many as the example may have
		}
	}
}
