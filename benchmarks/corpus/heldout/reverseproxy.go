// SPDX-License-Identifier: Apache-2.0

package heldout

import (
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"

	"example.com/corpus/kit"
	"github.com/gorilla/websocket"
)

// reverseProxy is a gateway as Caddy and Traefik are, over httputil.ReverseProxy:
// websockets of two minutes on average go through it, beside short requests. The
// backend is a process of its own.
func reverseProxy() kit.Program {
	return kit.Program{Name: "reverse-proxy", Library: "net/http/httputil", Run: func(w *kit.World) {
		backend, err := url.Parse(w.Role("backend", nil))
		kit.Must(err)
		proxy := &httputil.ReverseProxy{
			Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(backend); r.SetXForwarded() },
			Transport: &http.Transport{MaxIdleConnsPerHost: 50, IdleConnTimeout: 30 * time.Second},
		}
		front := w.Serve(w.Handle("proxy", proxy.ServeHTTP))
		w.Clients(kit.Clients{URL: front + "/page", Rate: kit.Wave(15)})
		w.Websockets(kit.Websockets{URL: strings.Replace(front, "http", "ws", 1) + "/ws", Rate: kit.Wave(3), Session: 2 * time.Minute, Every: 25 * time.Second, Message: "hi"})
	}, Roles: map[string]func(*kit.Role){"backend": proxiedBackend}}
}

func proxiedBackend(r *kit.Role) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	kit.Must(err)
	up := websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
	mux := http.NewServeMux()
	mux.HandleFunc("/page", func(rw http.ResponseWriter, req *http.Request) {
		kit.Sleep(req.Context(), 30*time.Millisecond)
		_, _ = io.WriteString(rw, "page")
	})
	mux.HandleFunc("/ws", func(rw http.ResponseWriter, req *http.Request) {
		conn, err := up.Upgrade(rw, req, nil)
		if err != nil {
			return
		}
		defer conn.Close()
		for {
			kind, m, err := conn.ReadMessage()
			if err != nil || conn.WriteMessage(kind, m) != nil {
				return
			}
		}
	})
	s := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	go func() { _ = s.Serve(l) }()
	r.Say("http://" + l.Addr().String())
}
