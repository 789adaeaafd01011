// SPDX-License-Identifier: Apache-2.0

package heldout

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"example.com/corpus/kit"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// pgxPool imitates jackc/pgx's pool: it grows to 40 connections with the load and
// shrinks after it, and at the peak requests wait for a connection.
func pgxPool() kit.Program {
	return kit.Program{Name: "pgx-pool", Library: "jackc/pgx/v5/pgxpool", Skip: kit.NoPostgres, Run: func(w *kit.World) {
		config, err := pgxpool.ParseConfig(w.Role("postgres", nil))
		kit.Must(err)
		config.MaxConns, config.MaxConnIdleTime, config.HealthCheckPeriod = 40, 30*time.Second, 10*time.Second
		pool, err := pgxpool.NewWithConfig(w.Ctx, config)
		kit.Must(err)
		mux := http.NewServeMux()
		mux.HandleFunc("/search", w.Handle("GET /search", func(rw http.ResponseWriter, r *http.Request) {
			_, err := pool.Exec(r.Context(), "select pg_sleep(2)")
			fmt.Fprintln(rw, err)
		}))
		w.Clients(kit.Clients{URL: w.Serve(mux) + "/search", Rate: kit.Wave(19)})
	}}
}

// pgxListen imitates jackc/pgxlisten and River: goroutines that wait for a
// notification for as long as their user stays, a minute and a half on average, each
// on a connection of its own.
func pgxListen() kit.Program {
	return kit.Program{Name: "pgx-listen", Library: "jackc/pgx/v5", Spans: kit.None, Skip: kit.NoPostgres, Run: func(w *kit.World) {
		url := w.Role("postgres", nil)
		w.Load(kit.Wave(0.6), func() {
			ctx, cancel := context.WithTimeout(w.Ctx, kit.Around(90*time.Second))
			defer cancel()
			conn, err := pgx.Connect(ctx, url)
			if err != nil {
				return
			}
			defer conn.Close(w.Ctx) //nolint:errcheck // the session is over
			_, _ = conn.Exec(ctx, "listen jobs")
			for err == nil {
				_, err = conn.WaitForNotification(ctx)
			}
		})
	}}
}
