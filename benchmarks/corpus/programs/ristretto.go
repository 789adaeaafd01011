// SPDX-License-Identifier: Apache-2.0

package programs

import (
	"context"
	"time"

	"example.com/corpus/kit"
	"github.com/dgraph-io/ristretto/v2"
)

// ristrettoPerShard has a ristretto cache, each with its processItems loop, for each of
// 60 catalogues; each is replaced by a fresh one, and closed, every two minutes.
func ristrettoPerShard() kit.Program {
	return kit.Program{Name: "ristretto-catalogues", Library: "dgraph-io/ristretto/v2", Run: func(w *kit.World) {
		newCache := func(int) *ristretto.Cache[string, int] {
			c, err := ristretto.NewCache(&ristretto.Config[string, int]{NumCounters: 100, MaxCost: 10, BufferItems: 64})
			kit.Must(err)
			return c
		}
		var caches kit.Tenants[*ristretto.Cache[string, int]]
		go func() {
			for kit.Sleep(w.Ctx, 2*time.Second) {
				w.Root("catalogue.refresh", func(context.Context) {
					if old, ok := caches.Swap(60, newCache); ok {
						old.Close()
					}
				})
			}
		}()
		w.Load(kit.Wave(6), func() {
			w.Root("GET /catalogue", func(context.Context) { caches.Get(60, newCache).Set("x", 1, 1) })
		})
	}}
}
