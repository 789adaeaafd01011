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
	workers           = 12                   // requests at once; more of them wait
	downstream        = 4 * time.Millisecond // mean of what a request waits for
	garbage           = 192 << 10            // that a request makes
	// What is live at all times is scaled down as time is: so the collector runs as
	// often a tick as in a service of twenty times the heap.
	ballast = 8 << 20
	nodes   = 50_000 // of 48 bytes, for the collector to follow
)

// service is an open loop of requests, each under a root span on a goroutine of its
// own: it waits for a worker, allocates, computes a little and waits for something
// downstream.
type service struct {
	tracer trace.Tracer
	slots  chan struct{}
	live   [][]byte
	list   *node

	rate   atomic.Int64 // requests a second
	convoy atomic.Bool
	lock   sync.Mutex

	ctx     context.Context //nolint:containedctx // the life of what a phase starts
	cancel  context.CancelFunc
	running sync.WaitGroup

	leaked  chan struct{} // closed to let leaked goroutines go
	hoard   [][]byte
	thief   *thief
	cpuStop chan struct{}
}

// node makes work for the collector.
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

// serve lets requests arrive until the service stops.
func (s *service) serve(r *rand.Rand) {
	s.running.Go(func() {
		next := time.Now()
		for s.ctx.Err() == nil {
			next = next.Add(time.Duration(r.ExpFloat64() / float64(s.rate.Load()) * float64(time.Second)))
			if wait := time.Until(next); wait > 0 {
				time.Sleep(wait)
			} else if wait < -time.Second {
				next = time.Now() // the machine stood still: no flood afterwards
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

// leak starts goroutines that wait until recover.
func (s *service) leak(n int) {
	gone := s.leaked
	for range n {
		s.running.Go(func() { <-gone })
	}
}

// remember keeps memory until recover.
func (s *service) remember(bytes int) {
	for ; bytes > 0; bytes -= 1 << 12 {
		s.hoard = append(s.hoard, make([]byte, 1<<12))
	}
}

// starve keeps every processor busy with goroutines of our own.
func (s *service) starve() {
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

// recover ends whatever trouble there is.
func (s *service) recover() {
	close(s.leaked)
	s.leaked = make(chan struct{})
	s.hoard = nil
	s.convoy.Store(false)
	debug.SetMemoryLimit(math.MaxInt64)
	s.rate.Store(requestsPerSecond)
	if s.cpuStop != nil {
		close(s.cpuStop)
		s.cpuStop = nil
	}
	if s.thief != nil {
		s.thief.stop()
		s.thief = nil
	}
}
