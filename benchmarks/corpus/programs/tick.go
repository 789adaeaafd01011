// SPDX-License-Identifier: Apache-2.0

package programs

import (
	"fmt"
	"net/http"
	"time"

	"example.com/corpus/kit"
)

// tickLoop imitates the most common misuse of time.Tick: a loop for each request that
// nothing stops. Each wakes every ten seconds.
func tickLoop() kit.Program {
	return kit.Program{Name: "time-tick-loop", Library: "time", Long: true, Want: kit.Leak("GET /dashboard", "programs.refreshLoop"), Run: func(w *kit.World) {
		mux := http.NewServeMux()
		w.Harmless(mux)
		mux.HandleFunc("/dashboard", w.Handle("GET /dashboard", func(rw http.ResponseWriter, _ *http.Request) {
			go refreshLoop(new(int))
			fmt.Fprintln(rw, "ok")
		}))
		url := w.Serve(mux)
		w.Clients(kit.Clients{URL: url + "/health", Rate: kit.Constant(10)})
		w.Clients(kit.Clients{URL: url + "/dashboard", Rate: kit.Constant(2)})
	}}
}

func refreshLoop(n *int) {
	for range time.Tick(10 * time.Second) {
		*n++
	}
}
