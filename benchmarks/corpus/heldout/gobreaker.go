// SPDX-License-Identifier: Apache-2.0

package heldout

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"example.com/corpus/kit"
	"github.com/sony/gobreaker/v2"
)

// gobreakerOutages imitates the example of sony/gobreaker: handlers ask a provider
// through a circuit breaker, with a timeout of 15 s. The provider has outages of 40 s
// every two minutes, in which it accepts connections and does not answer: requests pile
// up until the breaker opens, which fails them fast for ten seconds at a time.
func gobreakerOutages() kit.Program {
	return kit.Program{Name: "gobreaker-outages", Library: "sony/gobreaker/v2", Run: func(w *kit.World) {
		provider := w.Role("provider", nil)
		client := &http.Client{Timeout: 15 * time.Second}
		breaker := gobreaker.NewCircuitBreaker[[]byte](gobreaker.Settings{
			Name: "provider", Timeout: 10 * time.Second,
			ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures > 10 },
		})
		mux := http.NewServeMux()
		w.Harmless(mux)
		mux.HandleFunc("/quote", w.Handle("GET /quote", func(rw http.ResponseWriter, _ *http.Request) {
			quote, err := breaker.Execute(func() ([]byte, error) { return ask(client, provider) })
			if err != nil {
				http.Error(rw, err.Error(), http.StatusServiceUnavailable)
				return
			}
			_, _ = rw.Write(quote)
		}))
		url := w.Serve(mux)
		w.Clients(kit.Clients{URL: url + "/quote", Rate: kit.Wave(12)})
		w.Clients(kit.Clients{URL: url + "/health", Rate: kit.Wave(5)})
	}, Roles: map[string]func(*kit.Role){"provider": outages}}
}

func ask(client *http.Client, url string) ([]byte, error) {
	resp, err := client.Get(url)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(resp.Body)
}

// outages answers after 50 ms, but not in 40 s of every two minutes.
func outages(r *kit.Role) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	kit.Must(err)
	s := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		if time.Since(r.Start)%(2*time.Minute) > 80*time.Second {
			<-req.Context().Done()
			return
		}
		kit.Sleep(req.Context(), 50*time.Millisecond)
		fmt.Fprintln(rw, "42")
	})}
	go func() { _ = s.Serve(l) }()
	r.Say("http://" + l.Addr().String())
}
