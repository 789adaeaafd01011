// SPDX-License-Identifier: Apache-2.0

package heldout

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"example.com/corpus/kit"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

// riverJobs imitates the example of riverqueue/river: requests insert jobs into
// PostgreSQL, and the same process works them, 100 at a time, on a goroutine each. A
// job takes 15 s on average, and at the peak more jobs come than can be worked.
func riverJobs() kit.Program {
	return kit.Program{Name: "river-jobs", Library: "riverqueue/river", Skip: kit.NoPostgres, Run: func(w *kit.World) {
		pool, err := pgxpool.New(w.Ctx, w.Role("postgres", nil))
		kit.Must(err)
		for pool.Ping(w.Ctx) != nil { // it may still be starting
			kit.Sleep(w.Ctx, time.Second)
		}
		driver := riverpgxv5.New(pool)
		migrator, err := rivermigrate.New(driver, &rivermigrate.Config{Logger: quiet()})
		kit.Must(err)
		_, err = migrator.Migrate(w.Ctx, rivermigrate.DirectionUp, nil)
		kit.Must(err)
		workers := river.NewWorkers()
		river.AddWorker(workers, &renderWorker{w: w})
		client, err := river.NewClient(driver, &river.Config{
			Logger: quiet(), Workers: workers,
			Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 100}},
		})
		kit.Must(err)
		kit.Must(client.Start(w.Ctx))
		insertJobs(w, client)
	}}
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func insertJobs(w *kit.World, client *river.Client[pgx.Tx]) {
	mux := http.NewServeMux()
	mux.HandleFunc("/renders", w.Handle("POST /renders", func(rw http.ResponseWriter, r *http.Request) {
		if _, err := client.Insert(r.Context(), renderArgs{Page: 1}, nil); err != nil {
			http.Error(rw, err.Error(), http.StatusServiceUnavailable)
		}
	}))
	w.Clients(kit.Clients{URL: w.Serve(mux) + "/renders", Method: http.MethodPost, Rate: kit.Wave(8)})
}

type renderArgs struct {
	Page int `json:"page"`
}

// Kind is the name of the jobs in the queue.
func (renderArgs) Kind() string { return "render" }

type renderWorker struct {
	river.WorkerDefaults[renderArgs]
	w *kit.World
}

// Work does one job.
func (r *renderWorker) Work(ctx context.Context, _ *river.Job[renderArgs]) error {
	r.w.Root("job.render", func(context.Context) { kit.Sleep(ctx, kit.Around(15*time.Second)) })
	return ctx.Err()
}
