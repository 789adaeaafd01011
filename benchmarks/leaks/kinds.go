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

// kind is one way to leak. The goroutines that f leaks wait in, or were started by, a
// function whose name contains mark. It is in this file unless lib is set.
type kind struct {
	name, mark string
	lib        bool
	f          func(s *state)
}

// wakesItself reports whether the goroutines of the kind sleep and wake by themselves.
// Such goroutines usually end by themselves too, so the detector observes them for eight
// minutes, which is 96 slots, before it reports a leak.
func (k kind) wakesItself() bool { return k.mark == "leakSleep" || k.mark == "leakSpin" }

// state is what the requests of a kind share.
type state struct {
	peers

	channel  chan int
	lock     sync.Mutex
	channels []chan int
	bodies   []*http.Response
	conns    []net.Conn
	owners   []*owner
	mu       sync.Mutex
	app      context.Context //nolint:containedctx // lives as long as the service, which makes the leak
}

func newState() *state {
	s := &state{channel: make(chan int)}
	var cancel context.CancelFunc
	s.app, cancel = context.WithCancel(context.Background())
	_ = cancel
	var err error
	if s.peers, err = startPeers(); err != nil {
		panic(err)
	}
	return s
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

func leakReceive(*state) { c := make(chan int); go func() { <-c }() }
func leakSend(*state)    { c := make(chan int); go func() { c <- 1 }() }

func leakLateSend(*state) {
	c := make(chan error)
	go func() { time.Sleep(20 * time.Millisecond); c <- nil }()
	select {
	case <-c:
	case <-time.After(time.Millisecond):
	}
}

func leakNil(*state) { var c chan int; go func() { <-c }() }

func leakSelect(*state) {
	a, b := make(chan int), make(chan int)
	go func() {
		select {
		case <-a:
		case b <- 1:
		}
	}()
}

func leakForever(*state) { go func() { select {} }() }

func leakAfter(*state) {
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

func leakTicker(*state) {
	t := time.NewTicker(time.Hour)
	t.Stop()
	go func() {
		for range t.C {
			continue
		}
	}()
}

func leakTimer(*state) { go func() { <-time.NewTimer(time.Hour).C }() }

func leakSleep(*state) {
	go func() {
		for {
			time.Sleep(time.Hour)
		}
	}()
}

func leakMutex(*state)         { m := new(sync.Mutex); m.Lock(); go func() { m.Lock() }() }
func leakSharedMutex(s *state) { go func() { s.lock.Lock() }() }

func leakOrder(*state) {
	a, b := new(sync.Mutex), new(sync.Mutex)
	go func() { a.Lock(); time.Sleep(10 * time.Millisecond); b.Lock() }()
	go func() { b.Lock(); time.Sleep(10 * time.Millisecond); a.Lock() }()
}

func leakRead(*state)  { m := new(sync.RWMutex); m.Lock(); go func() { m.RLock() }() }
func leakGroup(*state) { g := new(sync.WaitGroup); g.Add(2); g.Done(); go func() { g.Wait() }() }

func leakCond(*state) {
	m := new(sync.Mutex)
	c := sync.NewCond(m)
	go func() { m.Lock(); c.Wait() }()
}

func leakGlobal(s *state) { go func() { <-s.channel }() }

func leakSlice(s *state) {
	c := make(chan int)
	s.mu.Lock()
	s.channels = append(s.channels, c)
	s.mu.Unlock()
	go func() { <-c }()
}

func leakContext(*state) {
	ctx, cancel := context.WithCancel(context.Background())
	_ = cancel
	go func() { <-ctx.Done() }()
}

func leakTimeout(*state) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	_ = cancel
	go func() { <-ctx.Done() }()
}

func leakChild(s *state) {
	ctx, cancel := context.WithCancel(s.app)
	_ = cancel
	go func() { <-ctx.Done() }()
}

func leakBackground(*state) { go func() { <-context.Background().Done() }() }

func leakBody(s *state) { _, _ = http.Get(s.endless) }

func leakTransport(s *state) {
	c := http.Client{Transport: &http.Transport{}}
	_, _ = c.Get(s.endless)
}

func leakKept(s *state) {
	resp, err := http.Get(s.endless)
	if err != nil {
		return
	}
	s.mu.Lock()
	s.bodies = append(s.bodies, resp)
	s.mu.Unlock()
}

func leakRequest(s *state) { go func() { _, _ = http.Get(s.slow) }() }

func leakConnection(s *state) {
	c, err := net.Dial("tcp", s.silent)
	if err != nil {
		return
	}
	go func() { _, _ = c.Read(make([]byte, 1)) }()
}

func leakPipe(*state) { r, _ := io.Pipe(); go func() { _, _ = r.Read(make([]byte, 1)) }() }

func leakSpin(*state) {
	go func() {
		for {
			runtime.Gosched()
			time.Sleep(10 * time.Millisecond)
		}
	}()
}

func leakWorker(s *state) {
	o := &owner{jobs: make(chan int)}
	s.mu.Lock()
	s.owners = append(s.owners, o)
	s.mu.Unlock()
	go func() {
		for range o.jobs {
			continue
		}
	}()
}

func leakFanOut(*state) {
	c := make(chan int)
	for i := range 3 {
		go func() { c <- i }()
	}
	<-c
}

func leakRange(*state) {
	c := make(chan int)
	go func() {
		for range c {
			continue
		}
	}()
	c <- 1
}

func leakLeader(s *state) {
	g := new(sync.WaitGroup)
	g.Go(func() { _, _ = http.Get(s.slow) })
	go func() { g.Wait() }()
}
