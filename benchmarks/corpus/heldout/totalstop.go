// SPDX-License-Identifier: Apache-2.0

package heldout

import (
	"fmt"
	"net/http"

	"example.com/corpus/kit"
)

// httpTotalStop answers 20 requests, and then every handler blocks on a lock that is
// never released, seconds after the start.
func httpTotalStop() kit.Program {
	return kit.Program{Name: "http-total-stop", Library: "net/http", Want: kit.Hang("GET /inventory", "heldout.(*inventory).look"), Run: func(w *kit.World) {
		inv := &inventory{lock: make(chan struct{}, 1), last: 20}
		mux := http.NewServeMux()
		mux.HandleFunc("/inventory", w.Handle("GET /inventory", func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprintln(rw, inv.look()) }))
		w.Clients(kit.Clients{URL: w.Serve(mux) + "/inventory", Rate: kit.Constant(6)})
	}}
}

// inventory uses a channel as a lock, which programs do to have a TryLock.
type inventory struct {
	lock        chan struct{}
	looks, last int
}

func (i *inventory) look() int {
	i.lock <- struct{}{}
	i.looks++
	if i.looks >= i.last {
		return 0 // an early return without a release
	}
	defer func() { <-i.lock }()
	return i.looks
}
