package programs

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"example.com/corpus/kit"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/singleflight"
	"golang.org/x/time/rate"
)

// errgroupLimit imitates the example of errgroup.Group.SetLimit: requests share a
// group with a limit and wait for their turn.
func errgroupLimit() kit.Program {
	return kit.Program{Name: "errgroup-limit", Library: "golang.org/x/sync/errgroup", Spans: kit.Private, Run: func(w *kit.World) {
		var g errgroup.Group
		g.SetLimit(60)
		mux := http.NewServeMux()
		mux.HandleFunc("/preview", w.Handle("GET /preview", func(rw http.ResponseWriter, _ *http.Request) {
			done := make(chan struct{})
			g.Go(func() error {
				defer close(done)
				time.Sleep(2 * time.Second)
				return nil
			})
			<-done
			fmt.Fprintln(rw, "ok")
		}))
		w.Clients(kit.Clients{URL: w.Serve(mux) + "/preview", Rate: kit.Wave(27), Timeout: 30 * time.Second})
	}}
}

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

// singleflightSlow imitates a cache stampede, which golang.org/x/sync/singleflight
// is made for: dozens of requests wait for one slow call, again and again.
func singleflightSlow() kit.Program {
	return kit.Program{Name: "singleflight-slow", Library: "golang.org/x/sync/singleflight", Run: func(w *kit.World) {
		var group singleflight.Group
		mux := http.NewServeMux()
		mux.HandleFunc("/rates", w.Handle("GET /rates", func(rw http.ResponseWriter, r *http.Request) {
			v, err, _ := group.Do(r.URL.Query().Get("day"), func() (any, error) {
				time.Sleep(18 * time.Second)
				return 1, nil
			})
			fmt.Fprintln(rw, v, err)
		}))
		w.Clients(kit.Clients{URL: w.Serve(mux) + "/rates?day=today", Rate: kit.Wave(12)})
	}}
}

// errgroupNested imitates golang/sync#14 and golang/go#27837: Go blocks at the
// limit, and a task calls Go of its own group. It hangs once a feature is switched
// on.
func errgroupNested() kit.Program {
	return kit.Program{Name: "errgroup-nested", Library: "golang.org/x/sync/errgroup",
		Want: kit.Hang("GET /report", "programs.reportNested", "errgroup.(*Group).Go"), Run: func(w *kit.World) {
			var g errgroup.Group
			g.SetLimit(4)
			mux := http.NewServeMux()
			mux.HandleFunc("/report", w.Handle("GET /report", func(rw http.ResponseWriter, _ *http.Request) {
				reportNested(&g, time.Since(w.Start) > 15*time.Second)
				fmt.Fprintln(rw, "ok")
			}))
			w.Clients(kit.Clients{URL: w.Serve(mux) + "/report", Rate: kit.Constant(8)})
		}}
}

func reportNested(g *errgroup.Group, parts bool) {
	done := make(chan struct{})
	g.Go(func() error {
		defer close(done)
		time.Sleep(200 * time.Millisecond)
		if parts {
			part := make(chan struct{})
			g.Go(func() error { time.Sleep(300 * time.Millisecond); close(part); return nil })
			<-part
		}
		return nil
	})
	<-done
}
