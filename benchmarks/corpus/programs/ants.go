// SPDX-License-Identifier: Apache-2.0

package programs

import (
	"fmt"
	"net/http"
	"time"

	"example.com/corpus/kit"
	"github.com/panjf2000/ants/v2"
)

// antsRamp imitates panjf2000/ants#212 and #323: the workers of a pool look like
// leaked goroutines. The pool grows with the load, its workers are started under
// whichever request came, and they expire when the load falls.
func antsRamp() kit.Program {
	return kit.Program{Name: "ants-ramp", Library: "panjf2000/ants/v2", Run: func(w *kit.World) {
		pool, err := ants.NewPool(1000, ants.WithExpiryDuration(30*time.Second))
		kit.Must(err)
		mux := http.NewServeMux()
		mux.HandleFunc("/signup", w.Handle("POST /signup", func(rw http.ResponseWriter, _ *http.Request) {
			kit.Must(pool.Submit(sendMail))
			fmt.Fprintln(rw, "ok")
		}))
		w.Clients(kit.Clients{URL: w.Serve(mux) + "/signup", Method: http.MethodPost, Rate: kit.Wave(60)})
	}}
}

func sendMail() { time.Sleep(3 * time.Second) }

// antsPurgeless has a pool with WithDisablePurge, as ants' documentation shows for
// services with a steady load: its workers never end.
func antsPurgeless() kit.Program {
	return kit.Program{Name: "ants-purgeless", Library: "panjf2000/ants/v2", Spans: kit.None, Run: func(w *kit.World) {
		pool, err := ants.NewPoolWithFunc(300, func(any) { time.Sleep(2 * time.Second) }, ants.WithDisablePurge(true))
		kit.Must(err)
		mux := http.NewServeMux()
		mux.HandleFunc("/thumbnail", w.Handle("POST /thumbnail", func(rw http.ResponseWriter, _ *http.Request) {
			kit.Must(pool.Invoke("image"))
			fmt.Fprintln(rw, "ok")
		}))
		w.Clients(kit.Clients{URL: w.Serve(mux) + "/thumbnail", Method: http.MethodPost, Rate: kit.Wave(50)})
	}}
}
