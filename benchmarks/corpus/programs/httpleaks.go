package programs

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"example.com/corpus/kit"
)

// httpBody imitates golang/go#5645 and many others: on one path the body of a
// response is not closed.
func httpBody() kit.Program {
	return kit.Program{Name: "http-body", Library: "net/http", Want: kit.Leak("GET /avatar", "net/http.(*persistConn)", "programs.fetchAvatar"), Run: func(w *kit.World) {
		peer := w.Role("peer", nil)
		client := &http.Client{Transport: &http.Transport{}}
		mux := http.NewServeMux()
		w.Harmless(mux)
		mux.HandleFunc("/avatar", w.Handle("GET /avatar", func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprintln(rw, fetchAvatar(client, peer)) }))
		url := w.Serve(mux)
		w.Clients(kit.Clients{URL: url + "/health", Rate: kit.Constant(10)})
		w.Clients(kit.Clients{URL: url + "/avatar", Rate: kit.Constant(4)})
	}, Roles: map[string]func(*kit.Role){"peer": kit.BigPeer(1 << 20)}}
}

func fetchAvatar(client *http.Client, url string) int {
	resp, err := client.Get(url) //nolint:bodyclose // the leak
	if err != nil {
		return 0
	}
	return resp.StatusCode
}

// httpTransport imitates golang/go#24719 and docker/docker-ce-packaging's agents: a
// http.Transport for each request, whose idle connections nobody closes.
func httpTransport() kit.Program {
	return kit.Program{Name: "http-transport", Library: "net/http", Want: kit.Leak("GET /weather", "net/http.(*persistConn)", "programs.askWeather"), Run: func(w *kit.World) {
		peer := w.Role("peer", nil)
		mux := http.NewServeMux()
		mux.HandleFunc("/weather", w.Handle("GET /weather", func(rw http.ResponseWriter, _ *http.Request) {
			askWeather(peer)
			fmt.Fprintln(rw, "sunny")
		}))
		w.Clients(kit.Clients{URL: w.Serve(mux) + "/weather", Rate: kit.Constant(3)})
	}, Roles: map[string]func(*kit.Role){"peer": kit.SlowPeer(5 * time.Millisecond)}}
}

func askWeather(url string) { getAll(&http.Client{Transport: &http.Transport{}}, url) }

// httpNoTimeout calls a peer that accepts and never answers, without a timeout,
// from the first request on. See golang/go#24138, "default client has no timeout".
func httpNoTimeout() kit.Program {
	return kit.Program{Name: "http-no-timeout", Library: "net/http", Want: kit.Hang("GET /score", "net/http.(*Transport)", "net/http.(*persistConn)", "programs.askScore"), Run: func(w *kit.World) {
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

func askScore(client *http.Client, url string) { getAll(client, url) }

// httpClientGone goes on after its client has left: it waits for a result without
// looking at the request's context (golang/go#13165 asks how to notice).
func httpClientGone() kit.Program {
	return kit.Program{Name: "http-client-gone", Library: "net/http", Want: kit.Hang("GET /forecast", "programs.forecast"), Run: func(w *kit.World) {
		mux := http.NewServeMux()
		w.Harmless(mux)
		results := make(chan string)
		mux.HandleFunc("/forecast", w.Handle("GET /forecast", func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprintln(rw, forecast(results)) }))
		url := w.Serve(mux)
		w.Clients(kit.Clients{URL: url + "/health", Rate: kit.Constant(10)})
		w.Clients(kit.Clients{URL: url + "/forecast", Rate: kit.Constant(2), Timeout: 5 * time.Second})
	}}
}

func forecast(results <-chan string) string { return <-results }

// httpTotalStop answers 20 requests, and then every handler blocks on a lock that is
// never released, seconds after the start.
func httpTotalStop() kit.Program {
	return kit.Program{Name: "http-total-stop", Library: "net/http", Want: kit.Hang("GET /inventory", "programs.(*inventory).look"), Run: func(w *kit.World) {
		inv := &inventory{lock: make(chan struct{}, 1), last: 20}
		mux := http.NewServeMux()
		mux.HandleFunc("/inventory", w.Handle("GET /inventory", func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprintln(rw, inv.look()) }))
		w.Clients(kit.Clients{URL: w.Serve(mux) + "/inventory", Rate: kit.Constant(6)})
	}}
}

// inventory has a lock made of a channel, as is common where TryLock is wanted.
type inventory struct {
	lock        chan struct{}
	looks, last int
}

func (i *inventory) look() int {
	i.lock <- struct{}{}
	i.looks++
	if i.looks >= i.last {
		return 0 // an early return without a release
	}
	defer func() { <-i.lock }()
	return i.looks
}

// slowLeak leaks six goroutines a minute below 200 requests a second, which a trend
// test misses for long. The pattern is the early return of "Concurrency in Go":
// nobody receives after a timeout.
func slowLeak() kit.Program {
	return kit.Program{Name: "slow-leak", Library: "net/http", Long: true, Want: kit.Leak("GET /rare", "programs.computeRare"), Run: func(w *kit.World) {
		w.Load(kit.Constant(200), func() { w.Root("GET /", func(context.Context) { time.Sleep(5 * time.Millisecond) }) })
		w.Load(kit.Constant(0.1), func() {
			w.Root("GET /rare", func(context.Context) {
				result := make(chan int)
				go computeRare(result)
				select {
				case <-result:
				case <-time.After(time.Millisecond):
				}
			})
		})
	}}
}

func computeRare(result chan<- int) {
	time.Sleep(10 * time.Millisecond)
	result <- 1
}

// risingLeak leaks in one of a hundred requests of a load that rises from 20 to 220
// a second.
func risingLeak() kit.Program {
	return kit.Program{Name: "rising-leak", Library: "net/http", Want: kit.Leak("GET /item", "programs.audit"), Run: func(w *kit.World) {
		n := 0
		go w.Arrivals(w.Ctx, kit.Shape{{0, 20}, {1, 220}}, func() {
			n++
			leaks := n%100 == 0
			go w.Root("GET /item", func(ctx context.Context) {
				time.Sleep(10 * time.Millisecond)
				if leaks {
					go audit(context.WithoutCancel(ctx), make(chan struct{}))
				}
			})
		})
	}}
}

func audit(ctx context.Context, written <-chan struct{}) {
	select {
	case <-ctx.Done():
	case <-written:
	}
}
