// SPDX-License-Identifier: Apache-2.0

package programs

import (
	"fmt"
	"net/http"
	"time"

	"example.com/corpus/kit"
	"golang.org/x/sync/errgroup"
)

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
