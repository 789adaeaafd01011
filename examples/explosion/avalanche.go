// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"
)

const (
	poolSize  = 700                    // connections that the service may have to its upstream
	patience  = time.Second            // of those who call the service, for each attempt
	attempts  = 3                      // that they make
	budget    = 500 * time.Millisecond // of the mended service, for its upstream
	priceList = 64 << 10               // bytes of an answer of the upstream
)

// chain is callers, a service and its upstream. The service forgets to close the
// bodies of its upstream's answers, and to pass its request's context on, until
// it is mended.
type chain struct {
	mended  bool
	tracer  trace.Tracer
	peers   *peers
	service *server
	pool    *http.Client // of the service, to its upstream
	open    atomic.Int64 // connections of the pool
	callers *http.Client
	forever context.Context //nolint:containedctx // the bug: a context that outlives the request
	end     context.CancelFunc
	tries   atomic.Int64
}

func newChain(ctx context.Context, tracer trace.Tracer, mended bool) (*chain, error) {
	c := &chain{
		mended: mended, tracer: tracer,
		callers: &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: 64}},
	}
	c.forever, c.end = context.WithCancel(context.Background())
	c.pool = &http.Client{Transport: &http.Transport{MaxConnsPerHost: poolSize, MaxIdleConnsPerHost: poolSize, DialContext: c.dial}}
	var err error
	if c.peers, err = startPeers(ctx, "avalanche"); err != nil {
		return nil, err
	}
	if c.service, err = serve(ctx, c.order); err != nil {
		c.peers.end()
		return nil, err
	}
	return c, nil
}

// close ends the chain, leaks and all.
func (c *chain) close() {
	c.end() // all that would end them: the peer's going away does not
	c.service.close()
	c.peers.end()
	c.pool.CloseIdleConnections()
	c.callers.CloseIdleConnections()
}

// dial connects to the upstream and counts.
func (c *chain) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	c.open.Add(1)
	return &counted{Conn: conn, closed: sync.OnceFunc(func() { c.open.Add(-1) })}, nil
}

// counted is a connection that says when it is closed.
type counted struct {
	net.Conn

	closed func()
}

func (c *counted) Close() error {
	c.closed()
	return c.Conn.Close()
}

// server serves one handler on a loopback address.
type server struct {
	http.Server

	url  string
	done chan struct{}
}

func serve(ctx context.Context, h http.HandlerFunc) (*server, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &server{url: "http://" + l.Addr().String(), done: make(chan struct{})}
	s.Handler, s.ReadHeaderTimeout = h, patience
	go func() {
		defer close(s.done)
		_ = s.Serve(l) // until close
	}()
	return s, nil
}

// close waits for no handler: those of the bug have no end.
func (s *server) close() {
	_ = s.Close()
	<-s.done
}

// order is the service's handler, under a root span as a middleware makes it.
func (c *chain) order(w http.ResponseWriter, r *http.Request) {
	ctx, span := c.tracer.Start(r.Context(), "GET /order")
	defer span.End()
	ask := c.askAndForget
	if c.mended {
		ask = c.askAndClose
	}
	if err := ask(ctx); err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	_, _ = io.WriteString(w, "ordered")
}

// askAndForget is the bug: not the context of the request, no timeout, no Close.
func (c *chain) askAndForget(context.Context) error {
	req, err := http.NewRequestWithContext(c.forever, http.MethodGet, c.peers.upstream+"/prices", http.NoBody) //nolint:contextcheck // that is the bug
	if err != nil {
		return err
	}
	resp, err := c.pool.Do(req) //nolint:bodyclose // that is the leak
	if err != nil {
		return err
	}
	return healthy(resp)
}

// askAndClose is the fix.
func (c *chain) askAndClose(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.peers.upstream+"/prices", http.NoBody)
	if err != nil {
		return err
	}
	resp, err := c.pool.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil { // read to its end, the connection goes back to the pool
		return err
	}
	return healthy(resp)
}

func healthy(resp *http.Response) error {
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}

// call is one caller: it tries again when an answer does not come in time.
func (c *chain) call(ctx context.Context) (tries int, err error) {
	for tries < attempts {
		tries++
		c.tries.Add(1)
		if err = c.try(ctx); err == nil || ctx.Err() != nil {
			break
		}
	}
	return tries, err
}

func (c *chain) try(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.service.url, http.NoBody)
	if err != nil {
		return err
	}
	resp, err := c.callers.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	return healthy(resp)
}
