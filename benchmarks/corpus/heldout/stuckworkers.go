// SPDX-License-Identifier: Apache-2.0

package heldout

import (
	"context"
	"sync"
	"time"

	"example.com/corpus/kit"
)

// stuckWorkers has twelve consumers of a queue, all of which hang after 45 s because
// a lock is not released. Nothing grows: messages that find the queue full are dropped.
// Written with knowledge of the detector: the group is small and does not grow.
func stuckWorkers() kit.Program {
	return kit.Program{Name: "workers-stuck", Library: "sync", Want: kit.Hang("order.consume", "heldout.(*depot).book"), Run: func(w *kit.World) {
		queue := make(chan int, 1000)
		var d depot
		for range 12 {
			go func() {
				for n := range queue {
					w.Root("order.consume", func(context.Context) { d.book(n, time.Since(w.Start) > 45*time.Second) })
				}
			}()
		}
		go w.Arrivals(w.Ctx, kit.Constant(40), func() {
			select {
			case queue <- 1:
			default:
			}
		})
	}}
}

type depot struct {
	mu    sync.Mutex
	stock int
}

func (d *depot) book(n int, fails bool) {
	time.Sleep(50 * time.Millisecond)
	d.mu.Lock()
	d.stock += n
	if fails {
		return
	}
	d.mu.Unlock()
}
