// SPDX-License-Identifier: Apache-2.0

package heldout

import (
	"sync"
	"time"

	"example.com/corpus/kit"
)

// condQueue imitates a bounded queue after "Rethinking Classical Concurrency
// Patterns" (Bryan Mills): 40 consumers wait on a sync.Cond, producers wait while the
// queue is full, bursts come every 50 s.
func condQueue() kit.Program {
	return kit.Program{Name: "cond-queue", Library: "sync", Spans: kit.None, Run: func(w *kit.World) {
		q := newQueue(100)
		for range 40 {
			go func() {
				for {
					q.get()
					time.Sleep(2 * time.Second)
				}
			}()
		}
		for kit.Sleep(w.Ctx, 50*time.Second) {
			for range int(300 * kit.Wave(1).At(w.X())) {
				go q.put(1)
			}
		}
	}}
}

type queue struct {
	mu              sync.Mutex
	notEmpty, space *sync.Cond
	items           []int
	limit           int
}

func newQueue(limit int) *queue {
	q := &queue{limit: limit}
	q.notEmpty, q.space = sync.NewCond(&q.mu), sync.NewCond(&q.mu)
	return q
}

func (q *queue) put(x int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.items) >= q.limit {
		q.space.Wait()
	}
	q.items = append(q.items, x)
	q.notEmpty.Signal()
}

func (q *queue) get() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.items) == 0 {
		q.notEmpty.Wait()
	}
	x := q.items[0]
	q.items = q.items[1:]
	q.space.Signal()
	return x
}
