// SPDX-License-Identifier: Apache-2.0

package heldout

import (
	"fmt"
	"net/http"
	"time"

	"example.com/corpus/kit"
)

// timersAfter waits for a confirmation for at most 40 s, by <-time.After, on a
// goroutine for each order, without spans; it seldom comes.
func timersAfter() kit.Program {
	return kit.Program{Name: "time-after-40s", Library: "time", Spans: kit.None, Run: func(w *kit.World) {
		confirmed := make(chan int)
		mux := http.NewServeMux()
		mux.HandleFunc("/order", func(rw http.ResponseWriter, _ *http.Request) {
			go awaitConfirmation(confirmed)
			fmt.Fprintln(rw, "ok")
		})
		mux.HandleFunc("/confirm", func(rw http.ResponseWriter, _ *http.Request) {
			select {
			case confirmed <- 1:
			default:
			}
			fmt.Fprintln(rw, "ok")
		})
		url := w.Serve(mux)
		w.Clients(kit.Clients{URL: url + "/order", Method: http.MethodPost, Rate: kit.Wave(5)})
		w.Clients(kit.Clients{URL: url + "/confirm", Method: http.MethodPost, Rate: kit.Wave(1)})
	}}
}

func awaitConfirmation(confirmed <-chan int) {
	select {
	case <-confirmed:
	case <-time.After(40 * time.Second):
	}
}
