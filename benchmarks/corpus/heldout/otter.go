// SPDX-License-Identifier: Apache-2.0

package heldout

import (
	"context"
	"time"

	"example.com/corpus/kit"
	"github.com/maypok86/otter/v2"
)

// otterLoading has an otter cache whose entries are loaded for up to 20 s, with a
// refresh in the background, as its README shows: requests wait for loads.
func otterLoading() kit.Program {
	return kit.Program{Name: "otter-loading", Library: "maypok86/otter/v2", Spans: kit.Private, Run: func(w *kit.World) {
		c, err := otter.New(&otter.Options[int, string]{MaximumSize: 100, ExpiryCalculator: otter.ExpiryWriting[int, string](30 * time.Second)})
		kit.Must(err)
		load := otter.LoaderFunc[int, string](func(ctx context.Context, key int) (string, error) {
			kit.Sleep(ctx, time.Duration(2+key%20)*time.Second)
			return "profile", nil
		})
		n := 0
		go w.Arrivals(w.Ctx, kit.Wave(10), func() {
			n++
			key := n % 40
			go w.Root("GET /profile", func(ctx context.Context) { _, _ = c.Get(ctx, key, load) })
		})
	}}
}
