// SPDX-License-Identifier: Apache-2.0

package heldout

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"time"

	"example.com/corpus/kit"
	"golang.org/x/sync/semaphore"
)

// semaphoreSlots renders 16 documents at a time. An invalid template, one of twenty, returns without
// Release: after a minute and a half or so no slot is left. It has no spans.
func semaphoreSlots() kit.Program {
	return kit.Program{Name: "semaphore-slots", Library: "golang.org/x/sync/semaphore", Spans: kit.None, Want: kit.Hang("", "heldout.render"), Run: func(w *kit.World) {
		slots := semaphore.NewWeighted(16)
		mux := http.NewServeMux()
		w.Harmless(mux)
		mux.HandleFunc("/render", w.Handle("POST /render", func(rw http.ResponseWriter, _ *http.Request) {
			if err := render(slots); err != nil {
				http.Error(rw, err.Error(), http.StatusBadRequest)
			}
		}))
		url := w.Serve(mux)
		w.Clients(kit.Clients{URL: url + "/health", Rate: kit.Constant(8)})
		w.Clients(kit.Clients{URL: url + "/render", Method: http.MethodPost, Rate: kit.Constant(4), Timeout: 20 * time.Second})
	}}
}

func render(slots *semaphore.Weighted) error {
	if err := slots.Acquire(context.Background(), 1); err != nil {
		return err
	}
	if rand.IntN(20) == 0 {
		return errors.New("invalid template")
	}
	time.Sleep(300 * time.Millisecond)
	slots.Release(1)
	return nil
}
