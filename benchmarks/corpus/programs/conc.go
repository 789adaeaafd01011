// SPDX-License-Identifier: Apache-2.0

package programs

import (
	"context"
	"time"

	"example.com/corpus/kit"
	"github.com/sourcegraph/conc/pool"
)

// concPool imitates the README of sourcegraph/conc: a context pool with a limit of
// goroutines works through what a job lists. A job takes two minutes.
func concPool() kit.Program {
	return kit.Program{Name: "conc-pool", Library: "sourcegraph/conc", Run: func(w *kit.World) {
		w.Load(kit.Wave(0.1), func() {
			w.Root("job.reindex", func(ctx context.Context) {
				p := pool.New().WithContext(ctx).WithMaxGoroutines(12)
				for range 480 {
					p.Go(func(context.Context) error { time.Sleep(3 * time.Second); return nil })
				}
				_ = p.Wait()
			})
		})
		w.Load(kit.Wave(10), func() {
			w.Root("GET /search", func(ctx context.Context) {
				p := pool.NewWithResults[int]().WithContext(ctx)
				for range 3 {
					p.Go(func(context.Context) (int, error) { time.Sleep(40 * time.Millisecond); return 1, nil })
				}
				_, _ = p.Wait()
			})
		})
	}}
}
