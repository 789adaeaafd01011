// SPDX-License-Identifier: Apache-2.0

package programs

import (
	"context"
	"time"

	"example.com/corpus/kit"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"
)

// errgroupBatch imitates nightly batches (go-co-op/gocron#439): one root span of
// three minutes, eighty workers of which wait for a rate limiter.
func errgroupBatch() kit.Program {
	return kit.Program{Name: "errgroup-batch", Library: "golang.org/x/time/rate", Run: func(w *kit.World) {
		go func() {
			for kit.Sleep(w.Ctx, 20*time.Second) {
				w.Root("nightly.reconcile", func(ctx context.Context) {
					limiter := rate.NewLimiter(10, 1)
					g, ctx := errgroup.WithContext(ctx)
					g.SetLimit(80)
					for range 1800 {
						g.Go(func() error { return limiter.Wait(ctx) })
					}
					_ = g.Wait()
				})
			}
		}()
		w.Load(kit.Wave(10), func() { w.Root("GET /", func(context.Context) { time.Sleep(3 * time.Millisecond) }) })
	}}
}

// exports runs thirty exports at a time, each under a root span of 90 s: a partner
// allows a call every two seconds. It imitates the semaphore of errgroup's package
// documentation beside x/time/rate.
func exports() kit.Program {
	return kit.Program{Name: "exports-90s", Library: "golang.org/x/time/rate", Run: func(w *kit.World) {
		slots := make(chan struct{}, 30)
		w.Load(kit.Wave(0.4), func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			w.Root("export.customer", func(ctx context.Context) {
				limiter := rate.NewLimiter(rate.Every(2*time.Second), 1)
				for range 45 {
					_ = limiter.Wait(ctx)
				}
			})
		})
		w.Load(kit.Wave(10), func() { w.Root("GET /", func(context.Context) { time.Sleep(3 * time.Millisecond) }) })
	}}
}
