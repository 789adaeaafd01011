// SPDX-License-Identifier: Apache-2.0

package heldout

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"example.com/corpus/kit"
)

// workflowSignals imitates a workflow engine in memory, as Temporal's SDK has a
// goroutine for each workflow that awaits a signal. An order waits for its payment,
// 100 s on average and up to five minutes, in a goroutine made under the root span of
// the order, which has ended by then. One order in seven is never paid and ends after
// five minutes.
func workflowSignals() kit.Program {
	return kit.Program{Name: "workflow-signals", Library: "the language", Run: func(w *kit.World) {
		var s shop
		w.Load(kit.Wave(2), func() {
			var o *order
			w.Root("POST /orders", func(context.Context) { o = s.open(w) })
			if rand.IntN(7) > 0 && kit.Sleep(w.Ctx, kit.Around(100*time.Second)) {
				w.Root("POST /payments", func(context.Context) { close(o.paid) })
			}
		})
		w.Load(kit.Wave(20), func() { w.Root("GET /orders", func(context.Context) { time.Sleep(3 * time.Millisecond) }) })
	}}
}

type shop struct {
	mu              sync.Mutex
	shipped, closed int
}

type order struct{ paid chan struct{} }

func (s *shop) open(w *kit.World) *order {
	o := &order{make(chan struct{})}
	go s.process(w, o)
	return o
}

func (s *shop) process(w *kit.World, o *order) {
	ctx, cancel := context.WithTimeout(w.Ctx, 5*time.Minute)
	defer cancel()
	select {
	case <-o.paid:
		s.mu.Lock()
		defer s.mu.Unlock()
		s.shipped++
	case <-ctx.Done():
		s.mu.Lock()
		defer s.mu.Unlock()
		s.closed++
	}
}
