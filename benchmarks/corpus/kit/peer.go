// SPDX-License-Identifier: Apache-2.0

package kit

import (
	"io"
	"net"
	"net/http"
	"time"
)

// SlowPeer returns a role: an HTTP server that answers every request after d, and
// says its URL.
func SlowPeer(d time.Duration) func(*Role) {
	return func(r *Role) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		Must(err)
		s := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
			if Sleep(req.Context(), d) {
				_, _ = io.WriteString(rw, "ok")
			}
		})}
		go func() { _ = s.Serve(l) }()
		r.Say("http://" + l.Addr().String())
	}
}

// BigPeer returns a role: an HTTP server whose answers have n bytes, and which says
// its URL.
func BigPeer(n int) func(*Role) {
	return func(r *Role) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		Must(err)
		body := make([]byte, n)
		s := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
			_, _ = rw.Write(body)
		})}
		go func() { _ = s.Serve(l) }()
		r.Say("http://" + l.Addr().String())
	}
}
