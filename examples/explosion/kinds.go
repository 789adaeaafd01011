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

// kind is one way to explode, or one that only looks so.
type kind struct {
	name, story string
	root        string            // the span that the goroutines are created under; empty: under none
	where       string            // part of the function where they are stuck
	verdicts    []goroutines.Kind // any of these is right; none: anything but a suspect is
	perSecond   func(elapsed time.Duration) float64
	request     func(ctx context.Context, w *world)
	late        func(elapsed time.Duration) time.Duration // of the cache's answers; nil: at once
	run         func(ctx context.Context, k kind, length, hold time.Duration) (right bool, err error)
}

func (k *kind) benign() bool { return k.verdicts == nil }

// matches tells whether a verdict is the right one: kind, place and span.
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

// leaks are goroutines that nothing ends.
func leaks() []kind {
	leak := []goroutines.Kind{goroutines.Leak, goroutines.LeakProven}
	return []kind{
		{
			name: "channel", story: "a result is sent to a channel that nobody reads any more",
			root: "GET /checkout", where: "unreadChannel", verdicts: leak, perSecond: steady, request: unreadChannel,
		},
		{
			name: "context", story: "a worker waits for a context that is never cancelled",
			root: "GET /report", where: "lostContext", verdicts: leak, perSecond: steady, request: lostContext,
		},
		{
			name: "http-body", story: "the body of a response is never closed",
			root: "GET /prices", where: "net/http.(*persistConn)", verdicts: leak, perSecond: steady, request: openBody,
		},
		{
			name: "avalanche", story: "such bodies exhaust the pool of connections: timeouts, retries, collapse; then the fix under the same load",
			root: "GET /order", where: "net/http.(*persistConn)", verdicts: leak,
			perSecond: func(time.Duration) float64 { return callsPerSecond }, run: compare,
		},
		{
			name: "timer", story: "a ticker's loop has no way to end",
			root: "POST /watch", where: "endlessTicker", verdicts: leak, perSecond: steady, request: endlessTicker,
		},
		{
			name: "fanout", story: "ten ask, the first answer wins, the other nine never finish",
			root: "GET /search", where: "fanOut", verdicts: leak, perSecond: func(time.Duration) float64 { return 2 }, request: fanOut,
		},
		{
			name: "job", story: "a job that runs under no span leaves a goroutine behind each time",
			where: "unreadChannel", verdicts: leak, perSecond: steady, request: unreadChannel,
		},
	}
}

// waits are requests that wait too long.
func waits() []kind {
	stuck := []goroutines.Kind{goroutines.Stuck}
	return []kind{
		{
			name: "lock", story: "a lock is taken and not given back",
			root: "POST /order", where: "heldLock", verdicts: stuck, perSecond: steady, request: heldLock,
		},
		{
			name: "io", story: "after ten good seconds a peer takes connections and says nothing; there is no deadline",
			root: "GET /stock", where: "silentPeer", verdicts: stuck, perSecond: steady, request: silentPeer,
		},
		{
			name: "redis-slow", story: "a cache without pool and deadline answers later and later: no leak, but pressure",
			root: "GET /stock", where: "cachedStock", verdicts: []goroutines.Kind{goroutines.Pressure},
			perSecond: func(time.Duration) float64 { return 50 }, request: cachedStock,
			late: func(d time.Duration) time.Duration { return 200*time.Millisecond + d/8 },
		},
		{
			name: "redis-stuck", story: "the same cache stops answering after ten good seconds",
			root: "GET /stock", where: "cachedStock", verdicts: stuck, perSecond: steady, request: cachedStock,
			late: func(d time.Duration) time.Duration {
				if d < goodTime {
					return 5 * time.Millisecond
				}
				return time.Hour
			},
		},
	}
}

// benign only look like an explosion.
func benign() []kind {
	return []kind{
		{
			name: "ramp", story: "benign: the load grows tenfold, as in a promotion",
			root: "GET /promotion", perSecond: func(d time.Duration) float64 { return 50 + 10*d.Seconds() },
			request: func(context.Context, *world) { time.Sleep(300 * time.Millisecond) },
		},
		{
			name: "connections", story: "benign: more and more clients stay connected",
			root: "GET /events", perSecond: steady, request: connect,
		},
	}
}

func unreadChannel(ctx context.Context, _ *world) {
	result := make(chan string)
	go func() { result <- "done" }()
	select {
	case <-result:
	case <-ctx.Done():
	case <-time.After(0): // too impatient
	}
}

func lostContext(_ context.Context, _ *world) { //nolint:contextcheck // that is the leak
	ctx, cancel := context.WithCancel(context.Background()) // not the request's
	_ = cancel
	go func() { <-ctx.Done() }()
}

func openBody(_ context.Context, w *world) {
	resp, err := w.client.Get(w.peers.upstream) //nolint:bodyclose,noctx // that is the leak
	if err != nil {
		return
	}
	_ = resp.StatusCode // and no resp.Body.Close()
}

func heldLock(_ context.Context, w *world) {
	w.lock.Lock() // there is no Unlock
}

func silentPeer(ctx context.Context, w *world) {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", w.peers.silent)
	if err != nil {
		return
	}
	defer c.Close()
	_, _ = c.Read(make([]byte, 1)) // there is no deadline
}

func endlessTicker(_ context.Context, _ *world) {
	t := time.NewTicker(time.Hour)
	go func() {
		for range t.C { // Stop would not end it
			continue
		}
	}()
}

func fanOut(_ context.Context, _ *world) {
	answers := make(chan int)
	for i := range 10 {
		go func() { answers <- i }()
	}
	<-answers
}

// connect is a client that stays; the root span is that of the server's handler
// in real life, here of the request that opens the connection.
func connect(ctx context.Context, w *world) {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", strings.TrimPrefix(w.server.URL, "http://"))
	if err != nil {
		return
	}
	if _, err := io.WriteString(c, "GET /quick HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		return
	}
	w.keep(c) // keep-alive: the server waits for the next request
}
