// SPDX-License-Identifier: Apache-2.0

package programs

import (
	"fmt"
	"net/http"
	"time"

	"example.com/corpus/kit"
)

// timersSleep has a goroutine for each request that sleeps for a minute and then
// works: a delayed clean-up. Half of the requests do so.
func timersSleep() kit.Program {
	return kit.Program{Name: "time-sleep-60s", Library: "time", Run: func(w *kit.World) {
		mux := http.NewServeMux()
		w.Harmless(mux)
		mux.HandleFunc("/upload", w.Handle("POST /upload", func(rw http.ResponseWriter, _ *http.Request) {
			go cleanUpLater()
			fmt.Fprintln(rw, "ok")
		}))
		url := w.Serve(mux)
		w.Clients(kit.Clients{URL: url + "/health", Rate: kit.Wave(3)})
		w.Clients(kit.Clients{URL: url + "/upload", Method: http.MethodPost, Rate: kit.Wave(3)})
	}}
}

func cleanUpLater() {
	time.Sleep(60 * time.Second)
	time.Sleep(time.Millisecond) // removes a file
}
