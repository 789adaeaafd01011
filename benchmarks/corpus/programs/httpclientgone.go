// SPDX-License-Identifier: Apache-2.0

package programs

import (
	"fmt"
	"net/http"
	"time"

	"example.com/corpus/kit"
)

// httpClientGone goes on after its client has left: it waits for a result without
// looking at the request's context, which net/http documents as the way to notice.
func httpClientGone() kit.Program {
	return kit.Program{Name: "http-client-gone", Library: "net/http", Want: kit.Hang("GET /forecast", "programs.forecast"), Run: func(w *kit.World) {
		mux := http.NewServeMux()
		w.Harmless(mux)
		results := make(chan string)
		mux.HandleFunc("/forecast", w.Handle("GET /forecast", func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprintln(rw, forecast(results)) }))
		url := w.Serve(mux)
		w.Clients(kit.Clients{URL: url + "/health", Rate: kit.Constant(10)})
		w.Clients(kit.Clients{URL: url + "/forecast", Rate: kit.Constant(2), Timeout: 5 * time.Second})
	}}
}

func forecast(results <-chan string) string { return <-results }
