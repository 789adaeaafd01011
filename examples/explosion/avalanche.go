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

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

const (
	poolSize        = 700                    // connections from the service to its upstream
	attemptTimeout  = time.Second            // of a caller
	maxAttempts     = 3                      // of a caller, for each call
	upstreamTimeout = 500 * time.Millisecond // of the fixed service
	responseSize    = 64 << 10               // bytes of the upstream's response body
)

// chain is callers, a service and its upstream. Unless fixed is set, the service does
// not close the response bodies of its upstream and does not pass the context of its
// request on.
type chain struct {
	fixed      bool
	tracer     trace.Tracer
	peers      *peers
	service    *server
	pool       *http.Client // the service's, to its upstream
	open       atomic.Int64 // connections of pool
	callers    *http.Client
	background context.Context //nolint:containedctx // the bug: a context that outlives the request
	cancel     context.CancelFunc
	attempts   atomic.Int64
}

func newChain(ctx context.Context, tracer trace.Tracer, fixed bool, counted func(http.RoundTripper) http.RoundTripper) (*chain, error) {
	c := &chain{
		fixed: fixed, tracer: tracer,
		callers: &http.Client{Timeout: attemptTimeout, Transport: &http.Transport{MaxIdleConnsPerHost: 64}},
	}
	c.background, c.cancel = context.WithCancel(context.Background())
	c.pool = &http.Client{Transport: counted(&http.Transport{MaxConnsPerHost: poolSize, MaxIdleConnsPerHost: poolSize, DialContext: c.dial})}
	var err error
	if c.peers, err = startPeers(ctx, "avalanche"); err != nil {
		return nil, err
	}
	if c.service, err = serve(ctx, c.order); err != nil {
		c.peers.stop()
		return nil, err
	}
	return c, nil
}

// close stops all parts of the chain and ends the leaked goroutines.
func (c *chain) close() {
	c.cancel() // only this ends them; the end of the upstream does not
	c.service.close()
	c.peers.stop()
	c.pool.CloseIdleConnections()
	c.callers.CloseIdleConnections()
}

// dial connects to the upstream and counts the open connections.
func (c *chain) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	c.open.Add(1)
	return &countedConn{Conn: conn, onClose: sync.OnceFunc(func() { c.open.Add(-1) })}, nil
}

// countedConn calls onClose before it closes the connection.
type countedConn struct {
	net.Conn

	onClose func()
}

func (c *countedConn) Close() error {
	c.onClose()
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
	s.Handler, s.ReadHeaderTimeout = h, attemptTimeout
	go func() {
		defer close(s.done)
		_ = s.Serve(l) // returns after close
	}()
	return s, nil
}

// close does not wait for handlers: with the bug they never return.
func (s *server) close() {
	_ = s.Close()
	<-s.done
}

// order is the service's handler. In a real service a middleware starts the root span.
func (c *chain) order(w http.ResponseWriter, r *http.Request) {
	ctx, span := c.tracer.Start(r.Context(), "GET /order")
	defer span.End()
	fetch := c.fetchWithoutClose
	if c.fixed {
		fetch = c.fetchAndClose
	}
	if err := fetch(ctx); err != nil {
		span.SetStatus(codes.Error, err.Error())
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	_, _ = io.WriteString(w, "ordered")
}

// fetchWithoutClose has the bug: not the request's context, no timeout, no Close.
func (c *chain) fetchWithoutClose(context.Context) error {
	req, err := http.NewRequestWithContext(c.background, http.MethodGet, c.peers.upstream+"/prices", http.NoBody) //nolint:contextcheck // the bug
	if err != nil {
		return err
	}
	resp, err := c.pool.Do(req) //nolint:bodyclose // the leak
	if err != nil {
		return err
	}
	return checkStatus(resp)
}

// fetchAndClose is the fixed version.
func (c *chain) fetchAndClose(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, upstreamTimeout)
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
	if _, err := io.Copy(io.Discard, resp.Body); err != nil { // at the end of the body the connection returns to the pool
		return err
	}
	return checkStatus(resp)
}

func checkStatus(resp *http.Response) error {
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}

// call calls the service and retries after an error or a timeout.
func (c *chain) call(ctx context.Context) (attempts int, err error) {
	for attempts < maxAttempts {
		attempts++
		c.attempts.Add(1)
		if err = c.attempt(ctx); err == nil || ctx.Err() != nil {
			break
		}
	}
	return attempts, err
}

func (c *chain) attempt(ctx context.Context) error {
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
	return checkStatus(resp)
}
