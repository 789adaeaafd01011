// SPDX-License-Identifier: Apache-2.0

package programs

import (
	"fmt"
	"net/http"
	"time"

	"example.com/corpus/kit"
	"golang.org/x/sync/errgroup"
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
