// SPDX-License-Identifier: Apache-2.0

package kit

import (
	"context"
	"fmt"
	"io"
	"net/http"
)

// ServeRoute serves one route with f at a rate per second, beside harmless requests.
func (w *World) ServeRoute(route string, rate float64, f func(ctx context.Context)) {
	mux := http.NewServeMux()
	w.Harmless(mux)
	mux.HandleFunc("/route", w.Handle(route, func(rw http.ResponseWriter, r *http.Request) {
		f(r.Context())
		fmt.Fprintln(rw, "ok")
	}))
	url := w.Serve(mux)
	w.Clients(Clients{URL: url + "/health", Rate: Constant(10)})
	w.Clients(Clients{URL: url + "/route", Rate: Constant(rate)})
}

// GetAll makes a request and reads all of the answer.
func GetAll(client *http.Client, url string) {
	resp, err := client.Get(url)
	if err != nil {
		return
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
}
