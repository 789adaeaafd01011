// SPDX-License-Identifier: Apache-2.0

package programs

import (
	"context"
	"time"

	"example.com/corpus/kit"
)

// lazySelect makes something once for each of 150 customers, when they first come,
// that keeps a goroutine in select {}. After 75 s all have come, and the requests go on.
func lazySelect() kit.Program {
	return kit.Program{Name: "lazy-select", Library: "the language", Run: func(w *kit.World) {
		known := 0
		for kit.Sleep(w.Ctx, 500*time.Millisecond) {
			w.Root("customer.visit", func(context.Context) {
				if known < 150 {
					known++
					go holdCustomer()
				}
			})
		}
	}}
}

func holdCustomer() { select {} }
