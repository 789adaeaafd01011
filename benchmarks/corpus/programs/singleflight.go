// SPDX-License-Identifier: Apache-2.0

package programs

import (
	"fmt"
	"net/http"
	"time"

	"example.com/corpus/kit"
	"golang.org/x/sync/singleflight"
)

// singleflightSlow imitates a cache stampede, which golang.org/x/sync/singleflight
// is made for: dozens of requests wait for one slow call, again and again.
func singleflightSlow() kit.Program {
	return kit.Program{Name: "singleflight-slow", Library: "golang.org/x/sync/singleflight", Run: func(w *kit.World) {
		var group singleflight.Group
		mux := http.NewServeMux()
		mux.HandleFunc("/rates", w.Handle("GET /rates", func(rw http.ResponseWriter, r *http.Request) {
			v, err, _ := group.Do(r.URL.Query().Get("day"), func() (any, error) {
				time.Sleep(18 * time.Second)
				return 1, nil
			})
			fmt.Fprintln(rw, v, err)
		}))
		w.Clients(kit.Clients{URL: w.Serve(mux) + "/rates?day=today", Rate: kit.Wave(12)})
	}}
}
