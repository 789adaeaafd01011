// SPDX-License-Identifier: Apache-2.0

package programs

import (
	"context"
	"io"
	"log"
	"math/rand/v2"
	"time"

	"example.com/corpus/kit"
	"github.com/hibiken/asynq"
)

// asynqTasks imitates hibiken/asynq#907 (80 to 100 workers, minutes a task) and
// qf-studio/pilot#4435 (an alert of stuck tasks that was none): forty workers, whose
// tasks of 45 to 75 s are root spans.
func asynqTasks() kit.Program {
	return kit.Program{Name: "asynq-tasks", Library: "hibiken/asynq", Run: func(w *kit.World) {
		log.SetOutput(io.Discard)
		redis := asynq.RedisClientOpt{Addr: w.Role("redis", nil)}
		server := asynq.NewServer(redis, asynq.Config{Concurrency: 40, LogLevel: asynq.FatalLevel})
		mux := asynq.NewServeMux()
		mux.HandleFunc("report:render", func(context.Context, *asynq.Task) error {
			w.Root("report:render", func(ctx context.Context) { render(ctx) })
			return nil
		})
		kit.Must(server.Start(mux))
		client := asynq.NewClient(redis)
		w.Load(kit.Wave(0.8), func() {
			_, _ = client.Enqueue(asynq.NewTask("report:render", nil), asynq.Timeout(5*time.Minute))
		})
	}}
}

func render(ctx context.Context) { kit.Sleep(ctx, time.Duration(45+rand.IntN(30))*time.Second) }
