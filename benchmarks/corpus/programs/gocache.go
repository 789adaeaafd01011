// SPDX-License-Identifier: Apache-2.0

package programs

import (
	"fmt"
	"net/http"
	"time"

	"example.com/corpus/kit"
	"github.com/patrickmn/go-cache"
)

// gocacheJanitors imitates patrickmn/go-cache#191: a cache for each of 180
// customers, whose janitor runs as long as the cache is reachable. It has no spans.
func gocacheJanitors() kit.Program {
	return kit.Program{Name: "gocache-janitors", Library: "patrickmn/go-cache", Spans: kit.None, Run: func(w *kit.World) {
		var caches kit.Tenants[*cache.Cache]
		mux := http.NewServeMux()
		mux.HandleFunc("/prices", w.Handle("GET /prices", func(rw http.ResponseWriter, _ *http.Request) {
			c := caches.Get(180, func(int) *cache.Cache { return cache.New(time.Minute, 90*time.Second) })
			c.SetDefault("price", 1)
			fmt.Fprintln(rw, c.ItemCount())
		}))
		w.Clients(kit.Clients{URL: w.Serve(mux) + "/prices", Rate: kit.Wave(6)})
	}}
}
