// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines"
)

// kind is one bug that multiplies goroutines, or a benign cause of the same growth.
type kind struct {
	name        string
	description string
	root        string            // name of the root span that creates the goroutines; empty for none
	where       string            // part of the name of the function in which they wait
	verdicts    []goroutines.Kind // the expected verdict is one of these; nil for a benign kind
	perSecond   func(elapsed time.Duration) float64
	request     func(ctx context.Context, s *service)
	cacheDelay  func(elapsed time.Duration) time.Duration // of a response of the cache; nil for none
	run         func(ctx context.Context, k kind, length, hold time.Duration) (right bool, err error)
}

func (k *kind) benign() bool { return k.verdicts == nil }

// matches reports whether a verdict has the expected kind, function and root span.
func (k *kind) matches(v *goroutines.Verdict) bool {
	root := ""
	if len(v.Roots) > 0 {
		root = v.Roots[0].Name
	}
	return slices.Contains(k.verdicts, v.Kind) && strings.Contains(v.Key.Site.Function, k.where) && root == k.root
}

func kinds() []kind {
	all := slices.Concat(leaks(), waits(), benign())
	for i := range all {
		if all[i].run == nil {
			all[i].run = run
		}
	}
	return all
}

func steady(time.Duration) float64 { return 10 }

// leaks returns the kinds whose goroutines never end.
func leaks() []kind {
	leak := []goroutines.Kind{goroutines.Leak, goroutines.LeakProven}
	return []kind{
		{
			name: "channel", description: "a result is sent to a channel that no goroutine reads any more",
			root: "GET /checkout", where: "unreadChannel", verdicts: leak, perSecond: steady, request: unreadChannel,
		},
		{
			name: "context", description: "a worker waits for a context that is never cancelled",
			root: "GET /report", where: "lostContext", verdicts: leak, perSecond: steady, request: lostContext,
		},
		{
			name: "http-body", description: "the body of a response is never closed",
			root: "GET /prices", where: "net/http.(*persistConn)", verdicts: leak, perSecond: steady, request: openBody,
		},
		{
			name: "avalanche", description: "the same bug exhausts the connection pool: timeouts, retries, collapse; then the fix under the same load",
			root: "GET /order", where: "net/http.(*persistConn)", verdicts: leak,
			perSecond: func(time.Duration) float64 { return callsPerSecond }, run: compareParts,
		},
		{
			name: "timer", description: "the loop of a ticker cannot end",
			root: "POST /watch", where: "endlessTicker", verdicts: leak, perSecond: steady, request: endlessTicker,
		},
		{
			name: "fanout", description: "ten goroutines send a result, one is received, the other nine never finish",
			root: "GET /search", where: "fanOut", verdicts: leak, perSecond: func(time.Duration) float64 { return 2 }, request: fanOut,
		},
		{
			name: "job", description: "each run of a job without a span leaks a goroutine",
			where: "unreadChannel", verdicts: leak, perSecond: steady, request: unreadChannel,
		},
	}
}

// waits returns the kinds whose requests wait too long.
func waits() []kind {
	stuck := []goroutines.Kind{goroutines.Stuck}
	return []kind{
		{
			name: "lock", description: "a mutex is locked and never unlocked",
			root: "POST /order", where: "heldLock", verdicts: stuck, perSecond: steady, request: heldLock,
		},
		{
			name: "io", description: "after ten seconds a peer accepts connections but sends nothing; there is no deadline",
			root: "GET /stock", where: "silentPeer", verdicts: stuck, perSecond: steady, request: silentPeer,
		},
		{
			name: "redis-slow", description: "a cache, used without pool and deadline, answers more and more slowly: no leak, but pressure",
			root: "GET /stock", where: "cachedStock", verdicts: []goroutines.Kind{goroutines.Pressure},
			perSecond: func(time.Duration) float64 { return 50 }, request: cachedStock,
			cacheDelay: func(d time.Duration) time.Duration { return 200*time.Millisecond + d/8 },
		},
		{
			name: "redis-stuck", description: "the same cache stops answering after ten seconds",
			root: "GET /stock", where: "cachedStock", verdicts: stuck, perSecond: steady, request: cachedStock,
			cacheDelay: func(d time.Duration) time.Duration {
				if d < healthyTime {
					return 5 * time.Millisecond
				}
				return time.Hour
			},
		},
	}
}

// benign returns the kinds whose goroutines multiply without a bug.
func benign() []kind {
	return []kind{
		{
			name: "ramp", description: "benign: the load grows tenfold, as in a promotion",
			root: "GET /promotion", perSecond: func(d time.Duration) float64 { return 50 + 10*d.Seconds() },
			request: func(context.Context, *service) { time.Sleep(300 * time.Millisecond) },
		},
		{
			name: "connections", description: "benign: more and more clients stay connected",
			root: "GET /events", perSecond: steady, request: connect,
		},
	}
}

func unreadChannel(ctx context.Context, _ *service) {
	result := make(chan string)
	go func() { result <- "done" }()
	select {
	case <-result:
	case <-ctx.Done():
	case <-time.After(0): // a timeout that is too short
	}
}

func lostContext(_ context.Context, _ *service) { //nolint:contextcheck // the leak
	ctx, cancel := context.WithCancel(context.Background()) // not the request's context
	_ = cancel
	go func() { <-ctx.Done() }()
}

func openBody(_ context.Context, s *service) {
	resp, err := s.client.Get(s.peers.upstream) //nolint:bodyclose,noctx // the leak
	if err != nil {
		return
	}
	_ = resp.StatusCode // without resp.Body.Close()
}

func heldLock(_ context.Context, s *service) {
	s.lock.Lock() // without Unlock
}

func silentPeer(ctx context.Context, s *service) {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", s.peers.silent)
	if err != nil {
		return
	}
	defer c.Close()
	_, _ = c.Read(make([]byte, 1)) // without a deadline
}

func endlessTicker(_ context.Context, _ *service) {
	t := time.NewTicker(time.Hour)
	go func() {
		for range t.C { // Stop does not end the loop
			continue
		}
	}()
}

func fanOut(_ context.Context, _ *service) {
	answers := make(chan int)
	for i := range 10 {
		go func() { answers <- i }()
	}
	<-answers
}

// connect opens a client connection that stays open. In a real service the server's
// handler would have the root span; here the request that connects has it.
func connect(ctx context.Context, s *service) {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", strings.TrimPrefix(s.server.URL, "http://"))
	if err != nil {
		return
	}
	if _, err := io.WriteString(c, "GET /quick HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		return
	}
	s.keep(c) // keep-alive: the server waits for the next request
}
