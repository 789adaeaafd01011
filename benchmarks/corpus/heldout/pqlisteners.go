// SPDX-License-Identifier: Apache-2.0

package heldout

import (
	"database/sql"
	"fmt"
	"net/http"
	"time"

	"example.com/corpus/kit"
	"github.com/lib/pq"
)

// pqListeners has a listener of PostgreSQL for each viewer of a job. A viewer stays for 20 s on average.
// The handler returns without Listener.Close.
func pqListeners() kit.Program {
	return kit.Program{Name: "pq-listeners", Library: "lib/pq", Spans: kit.Private, Skip: kit.NoPostgres, Want: kit.Leak("GET /jobs/events", "github.com/lib/pq", "heldout.streamJob"), Run: func(w *kit.World) {
		dsn := w.Role("postgres", nil)
		db, err := sql.Open("postgres", dsn)
		kit.Must(err)
		go func() {
			for kit.Sleep(w.Ctx, 5*time.Second) {
				_, _ = db.ExecContext(w.Ctx, "NOTIFY jobs, 'progress'")
			}
		}()
		mux := http.NewServeMux()
		w.Harmless(mux)
		mux.HandleFunc("/events", w.Handle("GET /jobs/events", func(rw http.ResponseWriter, r *http.Request) { streamJob(rw, r, dsn) }))
		url := w.Serve(mux)
		w.Clients(kit.Clients{URL: url + "/health", Rate: kit.Constant(8)})
		w.Clients(kit.Clients{URL: url + "/events", Rate: kit.Constant(0.4), Session: 20 * time.Second})
	}}
}

func streamJob(rw http.ResponseWriter, r *http.Request, dsn string) {
	l := pq.NewListener(dsn, 10*time.Second, time.Minute, nil)
	if err := l.Listen("jobs"); err != nil {
		http.Error(rw, err.Error(), http.StatusBadGateway)
		return
	}
	for {
		select {
		case <-r.Context().Done():
			return
		case n := <-l.Notify:
			if n == nil {
				continue // the connection was renewed
			}
			fmt.Fprintf(rw, "data: %s\n\n", n.Extra)
			_ = http.NewResponseController(rw).Flush()
		}
	}
}
