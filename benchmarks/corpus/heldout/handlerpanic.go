// SPDX-License-Identifier: Apache-2.0

package heldout

import (
	"fmt"
	"net/http"
	"sync/atomic"

	"example.com/corpus/kit"
)

// handlerPanic imitates topfreegames/pitaya#315 and jwilder/dockerize#324: a consumer
// stops early, and its producer waits for ever to send. Here one handler in 60
// panics, which net/http recovers: four goroutines a minute leak, below 60 requests a
// second.
func handlerPanic() kit.Program {
	return kit.Program{Name: "handler-panics", Library: "net/http", Long: true, Want: kit.Leak("GET /report", "heldout.produceRows"), Run: func(w *kit.World) {
		var n atomic.Int64
		mux := http.NewServeMux()
		w.Harmless(mux)
		mux.HandleFunc("/report", w.Handle("GET /report", func(rw http.ResponseWriter, _ *http.Request) {
			rows := make(chan *int)
			go produceRows(rows, n.Add(1)%60 == 0)
			sum := 0
			for r := range rows {
				sum += *r // panics if there is no value
			}
			fmt.Fprintln(rw, sum)
		}))
		url := w.Serve(mux)
		w.Clients(kit.Clients{URL: url + "/health", Rate: kit.Constant(56)})
		w.Clients(kit.Clients{URL: url + "/report", Rate: kit.Constant(4)})
	}}
}

func produceRows(rows chan<- *int, null bool) {
	defer close(rows)
	for i := range 10 {
		if null && i == 3 {
			rows <- nil
			continue
		}
		rows <- &i
	}
}
