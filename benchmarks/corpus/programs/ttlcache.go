// SPDX-License-Identifier: Apache-2.0

package programs

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"example.com/corpus/kit"
	"github.com/jellydator/ttlcache/v3"
)

// ttlcacheTenants imitates patrickmn/go-cache#191 and vavallee/bindery#881
// ("production was fine"): a cache with its loop for each tenant, made at the
// tenant's first request. Once all 260 are known nothing grows any more.
func ttlcacheTenants() kit.Program {
	return kit.Program{Name: "ttlcache-tenants", Library: "jellydator/ttlcache/v3", Run: func(w *kit.World) {
		var caches kit.Tenants[*ttlcache.Cache[string, int]]
		mux := http.NewServeMux()
		mux.HandleFunc("/quota", w.Handle("GET /quota", func(rw http.ResponseWriter, _ *http.Request) {
			c := caches.Get(260, func(int) *ttlcache.Cache[string, int] {
				c := ttlcache.New(ttlcache.WithTTL[string, int](time.Minute))
				go c.Start()
				return c
			})
			c.Set("used", rand.IntN(100), ttlcache.DefaultTTL)
			fmt.Fprintln(rw, c.Len())
		}))
		w.Clients(kit.Clients{URL: w.Serve(mux) + "/quota", Rate: kit.Wave(8)})
	}}
}
