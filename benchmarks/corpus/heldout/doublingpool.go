// SPDX-License-Identifier: Apache-2.0

package heldout

import (
	"context"
	"sync"
	"time"

	"example.com/corpus/kit"
)

// doublingPool is a pool of workers that doubles when a burst finds no idle worker,
// from 50 to 800 within five minutes, and never shrinks, as the pools of many servers
// do. Afterwards most of it is idle: eight tasks a second are left, then none. Workers
// are made under the root span of the request that found none idle.
func doublingPool() kit.Program {
	return kit.Program{Name: "doubling-pool", Library: "sync", Run: func(w *kit.World) {
		p := &elasticPool{tasks: make(chan func())}
		p.grow(50)
		w.Load(kit.Wave(8), func() {
			w.Root("POST /resize", func(context.Context) { p.do(func() { time.Sleep(20 * time.Millisecond) }) })
		})
		for n := 60; n < 1000 && kit.Sleep(w.Ctx, w.For/10); n *= 2 {
			for range n {
				go w.Root("POST /batch", func(context.Context) { p.do(func() { time.Sleep(2 * time.Second) }) })
			}
		}
	}}
}

type elasticPool struct {
	tasks chan func()
	mu    sync.Mutex
	size  int
	grown time.Time
}

// do runs f on an idle worker. If there is none, it doubles the pool, but not more
// often than every ten seconds.
func (p *elasticPool) do(f func()) {
	done := make(chan struct{})
	task := func() { f(); close(done) }
	select {
	case p.tasks <- task:
	default:
		p.mu.Lock()
		if p.size < 800 && time.Since(p.grown) > 10*time.Second {
			p.growLocked(p.size)
		}
		p.mu.Unlock()
		p.tasks <- task
	}
	<-done
}

func (p *elasticPool) grow(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.growLocked(n)
}

func (p *elasticPool) growLocked(n int) {
	p.size += n
	p.grown = time.Now()
	for range n {
		go p.work()
	}
}

func (p *elasticPool) work() {
	for task := range p.tasks {
		task()
	}
}
