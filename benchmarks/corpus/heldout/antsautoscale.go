// SPDX-License-Identifier: Apache-2.0

package heldout

import (
	"fmt"
	"net/http"
	"time"

	"example.com/corpus/kit"
	"github.com/panjf2000/ants/v2"
)

// antsAutoscale imitates a service in a promotion: orders rise for five minutes and stay high. Each
// order has a message sent by a pool of workers, and an autoscaler sets the capacity of the pool
// every ten seconds with Pool.Tune. The provider answers after twelve seconds.
func antsAutoscale() kit.Program {
	return kit.Program{Name: "ants-autoscale", Library: "panjf2000/ants/v2", Run: func(w *kit.World) {
		provider := w.Role("provider", nil)
		pool, err := ants.NewPool(10, ants.WithExpiryDuration(time.Minute))
		kit.Must(err)
		go autoscale(w, pool)
		mux := http.NewServeMux()
		w.Harmless(mux)
		client := &http.Client{Timeout: time.Minute}
		mux.HandleFunc("/orders", w.Handle("POST /orders", func(rw http.ResponseWriter, _ *http.Request) {
			time.Sleep(10 * time.Millisecond)
			_ = pool.Submit(func() { kit.GetAll(client, provider) })
			fmt.Fprintln(rw, "ok")
		}))
		url := w.Serve(mux)
		w.Clients(kit.Clients{URL: url + "/health", Rate: kit.Constant(5)})
		w.Clients(kit.Clients{URL: url + "/orders", Method: http.MethodPost, Rate: kit.Shape{{0, 0.5}, {0.1, 1}, {0.6, 10}, {1, 10}}})
	}, Roles: map[string]func(*kit.Role){"provider": kit.SlowPeer(12 * time.Second)}}
}

// autoscale adds a third of the capacity while orders wait, and takes away a fifth while half of the
// workers are idle.
func autoscale(w *kit.World, pool *ants.Pool) {
	for kit.Sleep(w.Ctx, 10*time.Second) {
		switch size := pool.Cap(); {
		case pool.Waiting() > 0 || pool.Running() > size*9/10:
			pool.Tune(min(size*4/3+1, 500))
		case pool.Running() < size/2:
			pool.Tune(max(size*4/5, 10))
		}
	}
}
