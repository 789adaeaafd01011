// SPDX-License-Identifier: Apache-2.0

package heldout

import (
	"time"

	"example.com/corpus/kit"
)

// tenantLoops has a flusher for each of 260 tenants, made lazily at the tenant's
// first event, which works every seven seconds, as the per-shard loops of
// Prometheus remote write do. It has no spans.
func tenantLoops() kit.Program {
	return kit.Program{Name: "tenant-loops", Library: "sync", Spans: kit.None, Run: func(w *kit.World) {
		var tenants kit.Tenants[chan int]
		w.Load(kit.Wave(7), func() {
			events := tenants.Get(260, func(int) chan int {
				c := make(chan int, 100)
				go flushLoop(c)
				return c
			})
			select {
			case events <- 1:
			default:
			}
		})
	}}
}

func flushLoop(events <-chan int) {
	batch := 0
	flush := time.NewTicker(7 * time.Second)
	for {
		select {
		case n := <-events:
			batch += n
		case <-flush.C:
			batch = 0
		}
	}
}
