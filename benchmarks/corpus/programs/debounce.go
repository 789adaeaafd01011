// SPDX-License-Identifier: Apache-2.0

package programs

import (
	"context"
	"time"

	"example.com/corpus/kit"
	"github.com/bep/debounce"
)

// debounced imitates bep/debounce: what comes in bursts is done once they are over,
// for each of 80 documents, by a function that takes twenty seconds.
func debounced() kit.Program {
	return kit.Program{Name: "debounce-saves", Library: "bep/debounce", Run: func(w *kit.World) {
		var documents kit.Tenants[func(func())]
		w.Load(kit.Wave(12), func() {
			w.Root("POST /edit", func(context.Context) {
				documents.Get(80, func(int) func(func()) { return debounce.New(3 * time.Second) })(func() { time.Sleep(20 * time.Second) })
			})
		})
	}}
}
