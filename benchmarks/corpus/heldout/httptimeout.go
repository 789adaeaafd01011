// SPDX-License-Identifier: Apache-2.0

package heldout

import (
	"fmt"
	"net"
	"net/http"

	"example.com/corpus/kit"
)

// httpNoTimeout calls a peer that accepts and never answers, without a timeout,
// from the first request on. The zero http.Client has no timeout, as its documentation says.
func httpNoTimeout() kit.Program {
	return kit.Program{Name: "http-no-timeout", Library: "net/http", Want: kit.Hang("GET /score", "net/http.(*Transport)", "net/http.(*persistConn)", "heldout.askScore"), Run: func(w *kit.World) {
		peer := w.Role("peer", nil)
		client := &http.Client{Transport: &http.Transport{}}
		mux := http.NewServeMux()
		w.Harmless(mux)
		mux.HandleFunc("/score", w.Handle("GET /score", func(rw http.ResponseWriter, _ *http.Request) {
			askScore(client, peer)
			fmt.Fprintln(rw, "ok")
		}))
		url := w.Serve(mux)
		w.Clients(kit.Clients{URL: url + "/health", Rate: kit.Constant(10)})
		w.Clients(kit.Clients{URL: url + "/score", Rate: kit.Constant(2)})
	}, Roles: map[string]func(*kit.Role){"peer": func(r *kit.Role) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		kit.Must(err)
		go func() {
			var held []net.Conn
			for r.Ctx.Err() == nil {
				if c, err := l.Accept(); err == nil {
					held = append(held, c)
				}
			}
		}()
		r.Say("http://" + l.Addr().String())
	}}}
}

func askScore(client *http.Client, url string) { kit.GetAll(client, url) }
