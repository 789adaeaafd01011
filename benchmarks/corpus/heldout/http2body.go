// SPDX-License-Identifier: Apache-2.0

package heldout

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"example.com/corpus/kit"
)

// http2Body does over HTTP/2 what the documentation of http.Response warns of: a
// check of a stream looks at the status and does not close the body.
func http2Body() kit.Program {
	return kit.Program{Name: "http2-body", Library: "net/http (HTTP/2)", Spans: kit.Private, Want: kit.Leak("GET /status", "net/http.(*http2", "heldout.feedStatus"), Run: func(w *kit.World) {
		url := w.Role("feed", nil)
		client := &http.Client{Transport: &http.Transport{Protocols: onlyHTTP2()}}
		w.ServeRoute("GET /status", 2, func(context.Context) { feedStatus(client, url) })
	}, Roles: map[string]func(*kit.Role){"feed": http2Feed}}
}

func onlyHTTP2() *http.Protocols {
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	return p
}

func feedStatus(client *http.Client, url string) int {
	resp, err := client.Get(url) //nolint:bodyclose // the leak
	if err != nil {
		return 0
	}
	return resp.StatusCode
}

// http2Feed is an HTTP/2 server without TLS that sends a line every ten seconds for
// as long as the client stays. It says its URL.
func http2Feed(r *kit.Role) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	kit.Must(err)
	s := &http.Server{Protocols: onlyHTTP2(), ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		for i := 0; i == 0 || kit.Sleep(req.Context(), 10*time.Second); i++ {
			fmt.Fprintln(rw, i)
			_ = http.NewResponseController(rw).Flush()
		}
	})}
	go func() { _ = s.Serve(l) }()
	r.Say("http://" + l.Addr().String())
}
