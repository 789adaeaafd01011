// SPDX-License-Identifier: Apache-2.0

package heldout

import (
	"context"
	"math/rand/v2"
	"time"

	"example.com/corpus/kit"
)

// cartHold holds seats for five minutes, as ticket shops do: a goroutine for each
// hold waits for the purchase or the end of the five minutes. Three in ten buy, most
// within a minute. The others end all at the same age. Written with knowledge of the
// detector: no member of this group ends between the ages of two and five minutes.
func cartHold() kit.Program {
	return kit.Program{Name: "cart-hold-5m", Library: "time", Run: func(w *kit.World) {
		w.Load(kit.Wave(1.5), func() {
			bought := make(chan struct{})
			w.Root("POST /hold", func(context.Context) { go holdSeat(bought, 5*time.Minute) })
			if rand.IntN(10) < 3 && kit.Sleep(w.Ctx, kit.Around(30*time.Second)) {
				w.Root("POST /buy", func(context.Context) { close(bought) })
			}
		})
		w.Load(kit.Wave(20), func() { w.Root("GET /seats", func(context.Context) { time.Sleep(3 * time.Millisecond) }) })
	}}
}

func holdSeat(bought <-chan struct{}, d time.Duration) {
	select {
	case <-bought:
	case <-time.After(d):
	}
}
