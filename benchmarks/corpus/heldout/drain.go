// SPDX-License-Identifier: Apache-2.0

package heldout

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"example.com/corpus/kit"
)

// httpDrain imitates http.Server.Shutdown's documentation: every two minutes the
// server drains and another takes over, while long requests of 25 s are answered.
func httpDrain() kit.Program {
	return kit.Program{Name: "http-drain", Library: "net/http", Run: func(w *kit.World) {
		slow := w.Handle("GET /report", func(rw http.ResponseWriter, _ *http.Request) {
			time.Sleep(25 * time.Second)
			fmt.Fprintln(rw, "report")
		})
		for w.X() < 0.9 {
			l := w.Listen()
			server := &http.Server{Handler: slow, ReadHeaderTimeout: time.Minute}
			go func() { _ = server.Serve(l) }()
			w.Role("http", kit.Clients{URL: "http://" + l.Addr().String() + "/report", Rate: kit.Wave(3)})
			kit.Sleep(w.Ctx, 2*time.Minute)
			ctx, cancel := context.WithTimeout(w.Ctx, 40*time.Second)
			_ = server.Shutdown(ctx)
			cancel()
		}
	}}
}
