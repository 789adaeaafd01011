// SPDX-License-Identifier: Apache-2.0

package heldout

import (
	"context"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"time"

	"example.com/corpus/kit"
)

// hedgedLoser asks a provider twice if it does not answer within 150 ms ("The Tail at Scale", hedged
// requests) and takes the first answer. The body of the second is not closed.
func hedgedLoser() kit.Program {
	return kit.Program{Name: "hedged-loser", Library: "net/http", Want: kit.Leak("GET /quote", "net/http.(*persistConn)", "heldout.hedged"), Run: func(w *kit.World) {
		provider := w.Role("provider", nil)
		client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 20, IdleConnTimeout: 30 * time.Second}}
		w.ServeRoute("GET /quote", 5, func(context.Context) {
			if resp := hedged(client, provider); resp != nil {
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			}
		})
	}, Roles: map[string]func(*kit.Role){"provider": unevenProvider}}
}

func hedged(client *http.Client, url string) *http.Response {
	answers := make(chan *http.Response, 2) // room for both, so that no goroutine waits
	ask := func() {
		resp, err := client.Get(url) //nolint:bodyclose // the leak: the second is not closed
		if err != nil {
			resp = nil
		}
		answers <- resp
	}
	go ask()
	select {
	case resp := <-answers:
		return resp
	case <-time.After(150 * time.Millisecond):
		go ask()
	}
	return <-answers
}

// unevenProvider answers 64 KB, at once or, one time in four, after 400 ms. It says its URL.
func unevenProvider(r *kit.Role) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	kit.Must(err)
	body := make([]byte, 64<<10)
	s := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		wait := 20 * time.Millisecond
		if rand.IntN(4) == 0 {
			wait = 400 * time.Millisecond
		}
		time.Sleep(wait)
		_, _ = rw.Write(body)
	})}
	go func() { _ = s.Serve(l) }()
	r.Say("http://" + l.Addr().String())
}
