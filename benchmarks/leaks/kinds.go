// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"runtime"
	"sync"
	"time"
)

// kind is one way to leak. The goroutines that it leaves are stuck in, or began
// in, a function whose name contains mark, in this file unless lib is set.
type kind struct {
	name, mark string
	lib        bool
	f          func(w *world)
}

// world is what the requests of a kind share.
type world struct {
	peers

	channel  chan int
	lock     sync.Mutex
	channels []chan int
	bodies   []*http.Response
	conns    []net.Conn
	owners   []*owner
	mu       sync.Mutex
	app      context.Context //nolint:containedctx // lives as long as the service, which is the point
}

func newWorld() *world {
	w := &world{channel: make(chan int), app: context.Background()}
	var cancel context.CancelFunc
	w.app, cancel = context.WithCancel(w.app)
	_ = cancel
	var err error
	if w.peers, err = startPeers(); err != nil {
		panic(err)
	}
	return w
}

type owner struct{ jobs chan int }

func kinds() []kind {
	return []kind{
		{"channel receive, no sender", "leakReceive", false, leakReceive},
		{"channel send, no receiver", "leakSend", false, leakSend},
		{"channel send after a timeout", "leakLateSend", false, leakLateSend},
		{"nil channel", "leakNil", false, leakNil},
		{"select of two channels", "leakSelect", false, leakSelect},
		{"select without cases", "leakForever", false, leakForever},
		{"select with time.After in a loop", "leakAfter", false, leakAfter},
		{"range over a stopped ticker", "leakTicker", false, leakTicker},
		{"a timer of an hour", "leakTimer", false, leakTimer},
		{"a poller that sleeps", "leakSleep", false, leakSleep},
		{"mutex never unlocked, its own", "leakMutex", false, leakMutex},
		{"mutex never unlocked, shared", "leakSharedMutex", false, leakSharedMutex},
		{"two locks in two orders", "leakOrder", false, leakOrder},
		{"read lock after a forgotten lock", "leakRead", false, leakRead},
		{"wait group that is never done", "leakGroup", false, leakGroup},
		{"condition never signalled", "leakCond", false, leakCond},
		{"a global channel", "leakGlobal", false, leakGlobal},
		{"a channel kept in a slice", "leakSlice", false, leakSlice},
		{"context never cancelled", "leakContext", false, leakContext},
		{"context with an hour's timeout", "leakTimeout", false, leakTimeout},
		{"child of a context that lives on", "leakChild", false, leakChild},
		{"context.Background().Done()", "leakBackground", false, leakBackground},
		{"response body not closed", "persistConn", true, leakBody},
		{"response body not closed, one Transport each", "persistConn", true, leakTransport},
		{"response kept", "persistConn", true, leakKept},
		{"request without a timeout", "leakRequest", false, leakRequest},
		{"read without a deadline", "leakConnection", false, leakConnection},
		{"pipe without a writer", "leakPipe", false, leakPipe},
		{"a goroutine that spins", "leakSpin", false, leakSpin},
		{"worker of an owner that lives on", "leakWorker", false, leakWorker},
		{"fan-out, early return", "leakFanOut", false, leakFanOut},
		{"range over a channel never closed", "leakRange", false, leakRange},
		{"waiters for a leader that hangs", "leakLeader", false, leakLeader},
	}
}

func leakReceive(*world) { c := make(chan int); go func() { <-c }() }
func leakSend(*world)    { c := make(chan int); go func() { c <- 1 }() }

func leakLateSend(*world) {
	c := make(chan error)
	go func() { time.Sleep(20 * time.Millisecond); c <- nil }()
	select {
	case <-c:
	case <-time.After(time.Millisecond):
	}
}

func leakNil(*world) { var c chan int; go func() { <-c }() }

func leakSelect(*world) {
	a, b := make(chan int), make(chan int)
	go func() {
		select {
		case <-a:
		case b <- 1:
		}
	}()
}

func leakForever(*world) { go func() { select {} }() }

func leakAfter(*world) {
	c := make(chan int)
	go func() {
		for {
			select {
			case <-c:
				return
			case <-time.After(time.Hour):
			}
		}
	}()
}

func leakTicker(*world) {
	t := time.NewTicker(time.Hour)
	t.Stop()
	go func() {
		for range t.C {
			continue
		}
	}()
}

func leakTimer(*world) { go func() { <-time.NewTimer(time.Hour).C }() }

func leakSleep(*world) {
	go func() {
		for {
			time.Sleep(time.Hour)
		}
	}()
}

func leakMutex(*world)         { m := new(sync.Mutex); m.Lock(); go func() { m.Lock() }() }
func leakSharedMutex(w *world) { go func() { w.lock.Lock() }() }

func leakOrder(*world) {
	a, b := new(sync.Mutex), new(sync.Mutex)
	go func() { a.Lock(); time.Sleep(10 * time.Millisecond); b.Lock() }()
	go func() { b.Lock(); time.Sleep(10 * time.Millisecond); a.Lock() }()
}

func leakRead(*world)  { m := new(sync.RWMutex); m.Lock(); go func() { m.RLock() }() }
func leakGroup(*world) { g := new(sync.WaitGroup); g.Add(2); g.Done(); go func() { g.Wait() }() }

func leakCond(*world) {
	m := new(sync.Mutex)
	c := sync.NewCond(m)
	go func() { m.Lock(); c.Wait() }()
}

func leakGlobal(w *world) { go func() { <-w.channel }() }

func leakSlice(w *world) {
	c := make(chan int)
	w.mu.Lock()
	w.channels = append(w.channels, c)
	w.mu.Unlock()
	go func() { <-c }()
}

func leakContext(*world) {
	ctx, cancel := context.WithCancel(context.Background())
	_ = cancel
	go func() { <-ctx.Done() }()
}

func leakTimeout(*world) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	_ = cancel
	go func() { <-ctx.Done() }()
}

func leakChild(w *world) {
	ctx, cancel := context.WithCancel(w.app)
	_ = cancel
	go func() { <-ctx.Done() }()
}

func leakBackground(*world) { go func() { <-context.Background().Done() }() }

func leakBody(w *world) { _, _ = http.Get(w.endless) }

func leakTransport(w *world) {
	c := http.Client{Transport: &http.Transport{}}
	_, _ = c.Get(w.endless)
}

func leakKept(w *world) {
	resp, err := http.Get(w.endless)
	if err != nil {
		return
	}
	w.mu.Lock()
	w.bodies = append(w.bodies, resp)
	w.mu.Unlock()
}

func leakRequest(w *world) { go func() { _, _ = http.Get(w.slow) }() }

func leakConnection(w *world) {
	c, err := net.Dial("tcp", w.silent)
	if err != nil {
		return
	}
	go func() { _, _ = c.Read(make([]byte, 1)) }()
}

func leakPipe(*world) { r, _ := io.Pipe(); go func() { _, _ = r.Read(make([]byte, 1)) }() }

func leakSpin(*world) {
	go func() {
		for {
			runtime.Gosched()
			time.Sleep(10 * time.Millisecond)
		}
	}()
}

func leakWorker(w *world) {
	o := &owner{jobs: make(chan int)}
	w.mu.Lock()
	w.owners = append(w.owners, o)
	w.mu.Unlock()
	go func() {
		for range o.jobs {
			continue
		}
	}()
}

func leakFanOut(*world) {
	c := make(chan int)
	for i := range 3 {
		go func() { c <- i }()
	}
	<-c
}

func leakRange(*world) {
	c := make(chan int)
	go func() {
		for range c {
			continue
		}
	}()
	c <- 1
}

func leakLeader(w *world) {
	g := new(sync.WaitGroup)
	g.Go(func() { _, _ = http.Get(w.slow) })
	go func() { g.Wait() }()
}
