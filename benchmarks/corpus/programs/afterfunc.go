// SPDX-License-Identifier: Apache-2.0

package programs

import (
	"fmt"
	"net/http"
	"time"

	"example.com/corpus/kit"
)

// timersAfterFunc sends a reminder a minute after each request by time.AfterFunc,
// whose function runs for five seconds.
func timersAfterFunc() kit.Program {
	return kit.Program{Name: "time-afterfunc", Library: "time", Spans: kit.None, Run: func(w *kit.World) {
		mux := http.NewServeMux()
		mux.HandleFunc("/reserve", w.Handle("POST /reserve", func(rw http.ResponseWriter, _ *http.Request) {
			time.AfterFunc(time.Minute, func() { time.Sleep(5 * time.Second) })
			fmt.Fprintln(rw, "reserved")
		}))
		w.Clients(kit.Clients{URL: w.Serve(mux) + "/reserve", Method: http.MethodPost, Rate: kit.Wave(15)})
	}}
}
