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
	root        string            // the span that the goroutines are created under
	where       string            // part of the function where they are stuck
	verdicts    []goroutines.Kind // any of these is right; none: anything but a suspect is
	perSecond   func(elapsed time.Duration) float64
	request     func(ctx context.Context, w *world)
}

func (k *kind) benign() bool { return k.verdicts == nil }

// matches tells whether a verdict is the right one: kind, place and span.
func (k *kind) matches(v *goroutines.Verdict) bool {
	return slices.Contains(k.verdicts, v.Kind) &&
		strings.Contains(v.Key.Site.Function, k.where) &&
		len(v.Roots) > 0 && v.Roots[0].Name == k.root
}

func kinds() []kind {
	steady := func(time.Duration) float64 { return 10 }
	leak := []goroutines.Kind{goroutines.Leak, goroutines.LeakProven}
	stuck := []goroutines.Kind{goroutines.Stuck}
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
			name: "lock", story: "a lock is taken and not given back",
			root: "POST /order", where: "heldLock", verdicts: stuck, perSecond: steady, request: heldLock,
		},
		{
			name: "io", story: "a peer takes the connection and says nothing; there is no deadline",
			root: "GET /stock", where: "silentPeer", verdicts: stuck, perSecond: steady, request: silentPeer,
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
	resp, err := w.client.Get(w.upstream.URL) //nolint:bodyclose,noctx // that is the leak
	if err != nil {
		return
	}
	_ = resp.StatusCode // and no resp.Body.Close()
}

func heldLock(_ context.Context, w *world) {
	w.lock.Lock() // there is no Unlock
}

func silentPeer(ctx context.Context, w *world) {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", w.silent.Addr().String())
	if err != nil {
		return
	}
	w.keep(c)
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
	c, err := new(net.Dialer).DialContext(ctx, "tcp", strings.TrimPrefix(w.upstream.URL, "http://"))
	if err != nil {
		return
	}
	if _, err := io.WriteString(c, "GET /quick HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		return
	}
	w.keep(c) // keep-alive: the server waits for the next request
}
