// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"math"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

const (
	requestsPerSecond = 200
	workers           = 12                   // requests that run at the same time; the others wait
	downstream        = 4 * time.Millisecond // mean duration of a downstream call
	garbage           = 192 << 10            // bytes that a request allocates
	// The live heap is scaled down like time, so that the collector runs as often in a
	// tick as in a service with twenty times the heap.
	ballast = 8 << 20 // bytes
	nodes   = 50_000  // of 48 bytes, linked by pointers that the collector follows
)

// service answers an open loop of requests. Each request has a root span and a goroutine
// of its own. It waits for a worker, allocates, computes a little and waits for a
// downstream call.
type service struct {
	tracer trace.Tracer
	slots  chan struct{}
	live   [][]byte
	list   *node

	rate   atomic.Int64 // requests a second
	convoy atomic.Bool
	lock   sync.Mutex

	ctx     context.Context //nolint:containedctx // ends what a phase has started
	cancel  context.CancelFunc
	running sync.WaitGroup

	leaked  chan struct{} // closed to end the leaked goroutines
	memory  [][]byte      // leaked
	staller *staller
	cpuStop chan struct{}
}

// node is an element of a list that the collector has to follow.
type node struct {
	next *node
	_    [5]*node
}

func newService(p sdktrace.SpanProcessor) *service {
	s := &service{
		tracer: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(p)).Tracer("workload"),
		slots:  make(chan struct{}, workers),
		leaked: make(chan struct{}),
	}
	for range ballast >> 16 {
		s.live = append(s.live, make([]byte, 1<<16))
	}
	for range nodes {
		s.list = &node{next: s.list}
	}
	s.rate.Store(requestsPerSecond)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// serve starts requests as a Poisson process until stop is called.
func (s *service) serve(r *rand.Rand) {
	s.running.Go(func() {
		next := time.Now()
		for s.ctx.Err() == nil {
			next = next.Add(time.Duration(r.ExpFloat64() / float64(s.rate.Load()) * float64(time.Second)))
			if wait := time.Until(next); wait > 0 {
				time.Sleep(wait)
			} else if wait < -time.Second {
				next = time.Now() // after a stall of the machine, do not start all missed requests
			}
			seed := r.Uint64()
			s.running.Go(func() { s.handle(rand.New(rand.NewPCG(seed, 1))) })
		}
	})
}

func (s *service) handle(r *rand.Rand) {
	_, span := s.tracer.Start(s.ctx, [...]string{"GET /cart", "GET /item"}[r.IntN(2)])
	defer span.End()
	s.slots <- struct{}{}
	defer func() { <-s.slots }()
	if s.convoy.Load() {
		s.lock.Lock()
		time.Sleep(3 * time.Millisecond)
		s.lock.Unlock()
	}
	b := make([]byte, garbage)
	for i := range b[:4096] {
		b[i] = byte(i * i)
	}
	time.Sleep(time.Duration(r.ExpFloat64() * float64(downstream)))
	runtime.KeepAlive(b)
}

func (s *service) stop() {
	s.cancel()
	s.running.Wait()
	s.recover()
}

// leak starts n goroutines that wait until recover is called.
func (s *service) leak(n int) {
	end := s.leaked
	for range n {
		s.running.Go(func() { <-end })
	}
}

// leakMemory allocates memory that stays reachable until recover is called.
func (s *service) leakMemory(bytes int) {
	for ; bytes > 0; bytes -= 1 << 12 {
		s.memory = append(s.memory, make([]byte, 1<<12))
	}
}

// starveScheduler keeps all processors busy with eight goroutines each.
func (s *service) starveScheduler() {
	stop := make(chan struct{})
	s.cpuStop = stop
	for range 8 * runtime.GOMAXPROCS(0) {
		s.running.Go(func() { spin(stop) })
	}
}

func spin(stop <-chan struct{}) {
	x := uint64(1)
	for {
		select {
		case <-stop:
			return
		default:
		}
		for range 100_000 {
			x = x*6364136223846793005 + 1
		}
	}
}

// recover ends all faults.
func (s *service) recover() {
	close(s.leaked)
	s.leaked = make(chan struct{})
	s.memory = nil
	s.convoy.Store(false)
	debug.SetMemoryLimit(math.MaxInt64)
	s.rate.Store(requestsPerSecond)
	if s.cpuStop != nil {
		close(s.cpuStop)
		s.cpuStop = nil
	}
	if s.staller != nil {
		s.staller.stop()
		s.staller = nil
	}
}
