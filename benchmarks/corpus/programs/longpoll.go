// SPDX-License-Identifier: Apache-2.0

package programs

import (
	"fmt"
	"net/http"
	"time"

	"example.com/corpus/kit"
)

// httpLongPoll imitates long polling as in Consul's blocking queries: an answer
// takes 40 s, and the clients ask again at once.
func httpLongPoll() kit.Program {
	return kit.Program{Name: "http-longpoll", Library: "net/http", Run: func(w *kit.World) {
		mux := http.NewServeMux()
		w.Harmless(mux)
		mux.HandleFunc("/poll", w.Handle("GET /poll", func(rw http.ResponseWriter, r *http.Request) {
			select {
			case <-time.After(40 * time.Second):
			case <-r.Context().Done():
			}
			fmt.Fprintln(rw, "nothing new")
		}))
		url := w.Serve(mux)
		w.Clients(kit.Clients{URL: url + "/health", Rate: kit.Wave(10)})
		w.Clients(kit.Clients{URL: url + "/poll", Closed: 30})
		w.Clients(kit.Clients{URL: url + "/poll", Rate: kit.Wave(2)})
	}}
}
