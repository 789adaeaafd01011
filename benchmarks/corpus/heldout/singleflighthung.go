// SPDX-License-Identifier: Apache-2.0

package heldout

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"

	"example.com/corpus/kit"
	"golang.org/x/sync/singleflight"
)

// singleflightHung has a cache of rates that asks a provider once for all requests of a pair,
// without a timeout. After a minute the provider does not answer for one pair of ten, and the requests
// of that pair wait for the first one.
func singleflightHung() kit.Program {
	return kit.Program{Name: "singleflight-hung", Library: "golang.org/x/sync/singleflight", Want: kit.Hang("GET /rates", "heldout.(*rates)"), Run: func(w *kit.World) {
		rs := &rates{provider: w.Role("provider", nil), known: map[int]rate{}}
		mux := http.NewServeMux()
		w.Harmless(mux)
		mux.HandleFunc("/rates", w.Handle("GET /rates", func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprintln(rw, rs.get(rand.IntN(10))) }))
		url := w.Serve(mux)
		w.Clients(kit.Clients{URL: url + "/health", Rate: kit.Constant(8)})
		w.Clients(kit.Clients{URL: url + "/rates", Rate: kit.Constant(6), Timeout: 10 * time.Second})
	}, Roles: map[string]func(*kit.Role){"provider": ratesProvider}}
}

type rates struct {
	provider string
	group    singleflight.Group
	mu       sync.Mutex
	known    map[int]rate
}

type rate struct {
	text  string
	until time.Time
}

func (r *rates) get(pair int) string {
	r.mu.Lock()
	known := r.known[pair]
	r.mu.Unlock()
	if time.Now().Before(known.until) {
		return known.text
	}
	text, _, _ := r.group.Do(fmt.Sprint(pair), func() (any, error) { return r.fetch(pair) })
	s, _ := text.(string)
	return s
}

func (r *rates) fetch(pair int) (string, error) {
	resp, err := http.Get(fmt.Sprint(r.provider, "/", pair))
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.known[pair] = rate{string(b), time.Now().Add(5 * time.Second)}
	return string(b), err
}

// ratesProvider does not answer for the pair 7 after a minute. It says its URL.
func ratesProvider(r *kit.Role) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	kit.Must(err)
	s := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/7" && time.Since(r.Start) > time.Minute {
			<-req.Context().Done()
		}
		time.Sleep(80 * time.Millisecond)
		_, _ = io.WriteString(rw, "1.08")
	})}
	go func() { _ = s.Serve(l) }()
	r.Say("http://" + l.Addr().String())
}
