package programs

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"example.com/corpus/kit"
)

// httpLongPoll imitates long polling as in Consul's blocking queries: an answer
// takes 40 s, and the clients ask again at once.
func httpLongPoll() kit.Program {
	return kit.Program{Name: "http-longpoll", Library: "net/http", Run: func(w *kit.World) {
		mux := http.NewServeMux()
		w.Harmless(mux)
		mux.HandleFunc("/poll", w.Handle("GET /poll", func(rw http.ResponseWriter, r *http.Request) {
			select {
			case <-time.After(40 * time.Second):
			case <-r.Context().Done():
			}
			fmt.Fprintln(rw, "nothing new")
		}))
		url := w.Serve(mux)
		w.Clients(kit.Clients{URL: url + "/health", Rate: kit.Wave(10)})
		w.Clients(kit.Clients{URL: url + "/poll", Closed: 30})
		w.Clients(kit.Clients{URL: url + "/poll", Rate: kit.Wave(2)})
	}}
}

// httpSSE imitates server-sent events with a heartbeat every 15 s, as the HTML
// standard recommends. Sessions last three minutes on average.
func httpSSE() kit.Program {
	return kit.Program{Name: "http-sse", Library: "net/http", Run: func(w *kit.World) {
		mux := http.NewServeMux()
		w.Harmless(mux)
		mux.HandleFunc("/events", w.Handle("GET /events", func(rw http.ResponseWriter, r *http.Request) { streamEvents(rw, r, 15*time.Second) }))
		url := w.Serve(mux)
		w.Clients(kit.Clients{URL: url + "/health", Rate: kit.Wave(5)})
		w.Clients(kit.Clients{URL: url + "/events", Rate: kit.Wave(1.5), Session: 3 * time.Minute})
	}}
}

// httpSSEQuiet is the same without spans and without heartbeats: golang/go#13165 is
// about such handlers, which wait for their client to leave.
func httpSSEQuiet() kit.Program {
	return kit.Program{Name: "http-sse-quiet", Library: "net/http", Spans: kit.None, Run: func(w *kit.World) {
		mux := http.NewServeMux()
		mux.HandleFunc("/events", func(rw http.ResponseWriter, r *http.Request) { streamEvents(rw, r, time.Hour) })
		w.Clients(kit.Clients{URL: w.Serve(mux) + "/events", Rate: kit.Wave(1.5), Session: 2 * time.Minute})
	}}
}

func streamEvents(rw http.ResponseWriter, r *http.Request, heartbeat time.Duration) {
	rw.Header().Set("Content-Type", "text/event-stream")
	_, _ = io.WriteString(rw, ": hello\n\n")
	_ = http.NewResponseController(rw).Flush()
	ticker := time.NewTicker(heartbeat)
	defer ticker.Stop()
	for {
		select {
		case <-r.Context().Done():
			return
		case <-ticker.C:
			_, _ = io.WriteString(rw, ": heartbeat\n\n")
			_ = http.NewResponseController(rw).Flush()
		}
	}
}

// httpTransportGrows has a client whose kept-alive connections grow by a batch of
// 20 every 25 s, as after each rollout of a peer (golang/go#13801): the idle
// connections' readLoop and writeLoop stay.
func httpTransportGrows() kit.Program {
	return kit.Program{Name: "http-transport-grows", Library: "net/http", Run: func(w *kit.World) {
		url := w.Role("slow-peer", nil)
		client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1000, IdleConnTimeout: 10 * time.Minute}}
		go func() {
			for batch := 20; kit.Sleep(w.Ctx, 25*time.Second); batch += 20 {
				if w.X() > 0.6 {
					batch = 0
				}
				w.Root("sync.peers", func(context.Context) {
					var wg sync.WaitGroup
					for range min(batch, 200) {
						wg.Go(func() { getAll(client, url) })
					}
					wg.Wait()
				})
			}
		}()
		w.Load(kit.Wave(5), func() { w.Root("GET /price", func(context.Context) { getAll(client, url) }) })
	}, Roles: map[string]func(*kit.Role){"slow-peer": kit.SlowPeer(300 * time.Millisecond)}}
}

func getAll(client *http.Client, url string) {
	resp, err := client.Get(url)
	if err != nil {
		return
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
}

// httpWebhooks imitates webhook deliveries as Stripe and GitHub document them: what
// fails is tried again for up to two minutes, each delivery by its own goroutine.
func httpWebhooks() kit.Program {
	return kit.Program{Name: "http-webhooks", Library: "net/http", Run: func(w *kit.World) {
		mux := http.NewServeMux()
		mux.HandleFunc("/orders", w.Handle("POST /orders", func(rw http.ResponseWriter, _ *http.Request) {
			go deliver(w)
			rw.WriteHeader(http.StatusAccepted)
		}))
		w.Clients(kit.Clients{URL: w.Serve(mux) + "/orders", Method: http.MethodPost, Rate: kit.Wave(4)})
	}}
}

// deliver tries four times: the receiver is down until the last.
func deliver(w *kit.World) {
	client := &http.Client{Timeout: 5 * time.Second}
	for _, wait := range []time.Duration{5 * time.Second, 15 * time.Second, 30 * time.Second, 70 * time.Second} {
		resp, err := client.Post("http://127.0.0.1:1/hook", "application/json", http.NoBody)
		if err == nil {
			_ = resp.Body.Close()
			return
		}
		if !kit.Sleep(w.Ctx, kit.Around(wait)/2) {
			return
		}
	}
}

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
