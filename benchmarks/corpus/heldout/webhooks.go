// SPDX-License-Identifier: Apache-2.0

package heldout

import (
	"net/http"
	"time"

	"example.com/corpus/kit"
)

// httpWebhooks imitates webhook deliveries as Stripe and GitHub document them: what
// fails is tried again for up to two minutes, each delivery by its own goroutine.
func httpWebhooks() kit.Program {
	return kit.Program{Name: "http-webhooks", Library: "net/http", Run: func(w *kit.World) {
		mux := http.NewServeMux()
		mux.HandleFunc("/orders", w.Handle("POST /orders", func(rw http.ResponseWriter, _ *http.Request) {
			go deliver(w)
			rw.WriteHeader(http.StatusAccepted)
		}))
		w.Clients(kit.Clients{URL: w.Serve(mux) + "/orders", Method: http.MethodPost, Rate: kit.Wave(4)})
	}}
}

// deliver tries four times: the receiver is down until the last.
func deliver(w *kit.World) {
	client := &http.Client{Timeout: 5 * time.Second}
	for _, wait := range []time.Duration{5 * time.Second, 15 * time.Second, 30 * time.Second, 70 * time.Second} {
		resp, err := client.Post("http://127.0.0.1:1/hook", "application/json", http.NoBody)
		if err == nil {
			_ = resp.Body.Close()
			return
		}
		if !kit.Sleep(w.Ctx, kit.Around(wait)/2) {
			return
		}
	}
}
