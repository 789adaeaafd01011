// SPDX-License-Identifier: Apache-2.0

package heldout

import (
	"fmt"
	"net/http"
	"time"

	"example.com/corpus/kit"
)

// httpTransport does what the documentation of http.Transport warns of: a
// Transport for each request, whose idle connections are never closed.
func httpTransport() kit.Program {
	return kit.Program{Name: "http-transport", Library: "net/http", Want: kit.Leak("GET /weather", "net/http.(*persistConn)", "heldout.askWeather"), Run: func(w *kit.World) {
		peer := w.Role("peer", nil)
		mux := http.NewServeMux()
		mux.HandleFunc("/weather", w.Handle("GET /weather", func(rw http.ResponseWriter, _ *http.Request) {
			askWeather(peer)
			fmt.Fprintln(rw, "sunny")
		}))
		w.Clients(kit.Clients{URL: w.Serve(mux) + "/weather", Rate: kit.Constant(3)})
	}, Roles: map[string]func(*kit.Role){"peer": kit.SlowPeer(5 * time.Millisecond)}}
}

func askWeather(url string) { kit.GetAll(&http.Client{Transport: &http.Transport{}}, url) }
