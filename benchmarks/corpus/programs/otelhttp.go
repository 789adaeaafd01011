// SPDX-License-Identifier: Apache-2.0

package programs

import (
	"fmt"
	"net/http"

	"example.com/corpus/kit"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
)

// otelhttpLeak imitates krakend/krakend-otel#13: otelhttp starts the span before the
// mux has routed and renames it afterwards. One of three routes leaks.
func otelhttpLeak() kit.Program {
	return kit.Program{Name: "otelhttp-renamed", Library: "otelhttp", Want: kit.Leak("GET /export/{id}", "programs.exportLater"), Run: func(w *kit.World) {
		mux := http.NewServeMux()
		mux.HandleFunc("GET /users/{id}", func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprintln(rw, "user") })
		mux.HandleFunc("GET /export/{id}", func(rw http.ResponseWriter, _ *http.Request) {
			go exportLater(make(chan int))
			fmt.Fprintln(rw, "export")
		})
		mux.HandleFunc("GET /", func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprintln(rw, "home") })
		url := w.Serve(otelhttp.NewHandler(mux, "server"))
		w.Clients(kit.Clients{URL: url + "/export/7", Rate: kit.Constant(5)})
		w.Clients(kit.Clients{URL: url + "/users/7", Rate: kit.Constant(10)})
		w.Clients(kit.Clients{URL: url + "/", Rate: kit.Constant(10)})
	}}
}

func exportLater(done chan<- int) { done <- 1 }
