// SPDX-License-Identifier: Apache-2.0

package programs

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"example.com/corpus/kit"
	"github.com/alitto/pond/v2"
)

// pondGroups imitates the task groups of alitto/pond's README: a request submits a
// group of tasks to a shared pool and waits for all.
func pondGroups() kit.Program {
	return kit.Program{Name: "pond-groups", Library: "alitto/pond/v2", Run: func(w *kit.World) {
		pool := pond.NewPool(120)
		mux := http.NewServeMux()
		mux.HandleFunc("/quotes", w.Handle("GET /quotes", func(rw http.ResponseWriter, r *http.Request) {
			group := pool.NewGroupContext(r.Context())
			for i := range 5 {
				group.Submit(func() { time.Sleep(time.Duration(200+300*i) * time.Millisecond) })
			}
			fmt.Fprintln(rw, group.Wait())
		}))
		w.Clients(kit.Clients{URL: w.Serve(mux) + "/quotes", Rate: kit.Wave(25)})
	}}
}

// pondResult imitates the synchronous pools of Jeffail/tunny, which cannot be
// installed here: requests queue for one of thirty workers and wait for its result,
// for up to half a minute at the peak.
func pondResult() kit.Program {
	return kit.Program{Name: "pond-result", Library: "alitto/pond/v2", Spans: kit.None, Run: func(w *kit.World) {
		pool := pond.NewResultPool[int](30)
		mux := http.NewServeMux()
		mux.HandleFunc("/render", w.Handle("POST /render", func(rw http.ResponseWriter, _ *http.Request) {
			n, err := pool.Submit(func() int { time.Sleep(4 * time.Second); return 1 }).Wait()
			fmt.Fprintln(rw, n, err)
		}))
		// At most 250 clients wait, so that the queue is never longer than 30 s.
		w.Clients(kit.Clients{URL: w.Serve(mux) + "/render", Method: http.MethodPost, Closed: 250, Pause: 20 * time.Second, Rate: kit.Wave(1)})
	}}
}

// pondDrain stops a pool and starts another every minute, as a service does whose
// configuration is reloaded: the old pool drains while the new one works.
func pondDrain() kit.Program {
	return kit.Program{Name: "pond-drain", Library: "alitto/pond/v2", Run: func(w *kit.World) {
		pool := pond.NewPool(80)
		go func() {
			for kit.Sleep(w.Ctx, time.Minute) {
				old := pool
				pool = pond.NewPool(80)
				old.StopAndWait()
			}
		}()
		w.Load(kit.Wave(8), func() {
			w.Root("order.place", func(context.Context) {
				_ = pool.Go(func() { time.Sleep(5 * time.Second) })
			})
		})
	}}
}
