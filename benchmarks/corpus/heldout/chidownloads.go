// SPDX-License-Identifier: Apache-2.0

package heldout

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"example.com/corpus/kit"
	"github.com/go-chi/chi/v5"
)

// chiDownloads imitates a service for files whose clients are slow: a download of 16 MB lasts three
// minutes, and the clients of a fifth disconnect before that.
func chiDownloads() kit.Program {
	return kit.Program{Name: "chi-downloads", Library: "go-chi/chi/v5", Run: func(w *kit.World) {
		dir, err := os.MkdirTemp("", "corpus-chi-")
		kit.Must(err)
		kit.Must(os.WriteFile(filepath.Join(dir, "video"), make([]byte, 16<<20), 0o600))
		r := chi.NewRouter()
		r.Use(func(next http.Handler) http.Handler { return w.Handle("GET /files/{name}", next.ServeHTTP) })
		r.Get("/files/{name}", func(rw http.ResponseWriter, req *http.Request) {
			http.ServeFile(rw, req, filepath.Join(dir, filepath.Base(chi.URLParam(req, "name"))))
		})
		mux := http.NewServeMux()
		w.Harmless(mux)
		mux.Handle("/files/", r)
		l := smallBuffers{w.Listen()}
		s := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
		go func() { _ = s.Serve(l) }()
		url := "http://" + l.Addr().String()
		w.Clients(kit.Clients{URL: url + "/health", Rate: kit.Constant(5)})
		w.Role("viewers", url+"/files/video")
	}, Roles: map[string]func(*kit.Role){"viewers": slowViewers}}
}

// smallBuffers is a listener on whose connections the kernel keeps little, as with a network
// that is slow.
type smallBuffers struct{ net.Listener }

func (l smallBuffers) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetWriteBuffer(32 << 10)
	}
	return c, err
}

func slowViewers(r *kit.Role) {
	var url string
	r.Args(&url)
	r.Say("ok")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: dialSmall}}
	r.Arrivals(r.Ctx, kit.Wave(0.7), func() {
		go func() {
			ctx, cancel := context.WithTimeout(r.Ctx, kit.Around(6*time.Minute))
			defer cancel()
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
			kit.Must(err)
			resp, err := client.Do(req)
			if err != nil {
				return
			}
			defer resp.Body.Close()
			for err == nil && kit.Sleep(ctx, 350*time.Millisecond) {
				_, err = io.CopyN(io.Discard, resp.Body, 32<<10)
			}
		}()
	})
}

// dialSmall connects with a small buffer for what is received.
func dialSmall(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, address)
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetReadBuffer(32 << 10)
	}
	return c, err
}
