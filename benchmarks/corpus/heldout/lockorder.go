// SPDX-License-Identifier: Apache-2.0

package heldout

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"example.com/corpus/kit"
)

// lockOrder imitates blinklabs-io/dingo#4070 and codahale/metrics#16: two paths take
// two locks in opposite order. Within a minute or so two transfers wait for each
// other, and soon every transfer waits for one of the locks. It has no spans.
func lockOrder() kit.Program {
	return kit.Program{Name: "lock-order", Library: "sync", Spans: kit.None, Want: kit.Hang("", "heldout.transfer"), Run: func(w *kit.World) {
		var accounts [4]account
		mux := http.NewServeMux()
		w.Harmless(mux)
		mux.HandleFunc("/transfer", w.Handle("POST /transfer", func(rw http.ResponseWriter, _ *http.Request) {
			from := rand.IntN(4)
			transfer(&accounts[from], &accounts[(from+1+rand.IntN(3))%4])
			fmt.Fprintln(rw, "ok")
		}))
		url := w.Serve(mux)
		w.Clients(kit.Clients{URL: url + "/health", Rate: kit.Constant(10)})
		w.Clients(kit.Clients{URL: url + "/transfer", Method: http.MethodPost, Rate: kit.Constant(6)})
	}}
}

type account struct {
	mu      sync.Mutex
	balance int
}

func transfer(from, to *account) {
	from.mu.Lock()
	defer from.mu.Unlock()
	time.Sleep(20 * time.Millisecond) // as long as a call to a database
	to.mu.Lock()
	defer to.mu.Unlock()
	from.balance--
	to.balance++
}
