// SPDX-License-Identifier: Apache-2.0

package programs

import (
	"fmt"
	"net/http"
	"time"

	"example.com/corpus/kit"
	"github.com/gammazero/workerpool"
)

// workerpoolPerTenant imitates gammazero/workerpool#50: each of 40 tenants has a
// pool of five workers, which is made at the tenant's first request. Idle workers
// end, dispatchers stay.
func workerpoolPerTenant() kit.Program {
	return kit.Program{Name: "workerpool-per-tenant", Library: "gammazero/workerpool", Spans: kit.None, Run: func(w *kit.World) {
		var pools kit.Tenants[*workerpool.WorkerPool]
		mux := http.NewServeMux()
		mux.HandleFunc("/import", w.Handle("POST /import", func(rw http.ResponseWriter, _ *http.Request) {
			p := pools.Get(40, func(int) *workerpool.WorkerPool { return workerpool.New(5) })
			if p.WaitingQueueSize() < 20 {
				p.Submit(func() { time.Sleep(6 * time.Second) })
			}
			fmt.Fprintln(rw, p.WaitingQueueSize())
		}))
		w.Clients(kit.Clients{URL: w.Serve(mux) + "/import", Method: http.MethodPost, Rate: kit.Wave(20)})
	}}
}
