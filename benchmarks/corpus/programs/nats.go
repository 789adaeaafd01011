// SPDX-License-Identifier: Apache-2.0

package programs

import (
	"fmt"
	"net/http"
	"time"

	"example.com/corpus/kit"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

func startNATS() *server.Server {
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, NoLog: true, NoSigs: true})
	kit.Must(err)
	go s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		kit.Must(fmt.Errorf("the NATS server does not start"))
	}
	return s
}

// natsServer embeds a NATS server, as its documentation shows, to which clients
// connect at up to 8 a second and stay for a minute on average. It has no spans.
func natsServer() kit.Program {
	return kit.Program{Name: "nats-embedded", Library: "nats-io/nats-server/v2", Spans: kit.None, Run: func(w *kit.World) {
		w.Role("subscribers", startNATS().ClientURL())
	}, Roles: map[string]func(*kit.Role){"subscribers": natsSubscribers}}
}

func natsSubscribers(r *kit.Role) {
	var url string
	r.Args(&url)
	r.Say("ok")
	r.Arrivals(r.Ctx, kit.Wave(8), func() {
		go func() {
			nc, err := nats.Connect(url)
			if err != nil {
				return
			}
			defer nc.Close()
			_, _ = nc.Subscribe("updates", func(*nats.Msg) {})
			kit.Sleep(r.Ctx, kit.Around(time.Minute))
		}()
	})
}

// natsWorkers subscribes for each user that is logged in, over one connection, and
// unsubscribes after a minute on average: nats.go has a goroutine for each
// asynchronous subscription.
func natsWorkers() kit.Program {
	return kit.Program{Name: "nats-subscriptions", Library: "nats-io/nats.go", Spans: kit.None, Run: func(w *kit.World) {
		nc, err := nats.Connect(w.Role("server", nil))
		kit.Must(err)
		mux := http.NewServeMux()
		mux.HandleFunc("/login", w.Handle("POST /login", func(rw http.ResponseWriter, _ *http.Request) {
			sub, err := nc.Subscribe("user.events", func(*nats.Msg) {})
			kit.Must(err)
			time.AfterFunc(kit.Around(time.Minute), func() { _ = sub.Unsubscribe() })
			fmt.Fprintln(rw, "ok")
		}))
		w.Clients(kit.Clients{URL: w.Serve(mux) + "/login", Method: http.MethodPost, Rate: kit.Wave(3)})
		for kit.Sleep(w.Ctx, 20*time.Second) {
			_ = nc.Publish("user.events", []byte("hello"))
		}
	}, Roles: map[string]func(*kit.Role){"server": natsRole}}
}

func natsRole(r *kit.Role) { r.Say(startNATS().ClientURL()) }

// natsConnect is the misuse that the NATS documentation warns of: nats.Connect for each
// request, never closed.
func natsConnect() kit.Program {
	return kit.Program{Name: "nats-connect", Library: "nats-io/nats.go", Spans: kit.None, Want: kit.Leak("", "nats-io/nats.go", "nats.(*Conn)", "programs.publishOnce"), Run: func(w *kit.World) {
		url := w.Role("server", nil)
		mux := http.NewServeMux()
		w.Harmless(mux)
		mux.HandleFunc("/publish", w.Handle("POST /publish", func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprintln(rw, publishOnce(url)) }))
		base := w.Serve(mux)
		w.Clients(kit.Clients{URL: base + "/health", Rate: kit.Constant(10)})
		w.Clients(kit.Clients{URL: base + "/publish", Method: http.MethodPost, Rate: kit.Constant(2)})
	}, Roles: map[string]func(*kit.Role){"server": natsRole}}
}

func publishOnce(url string) error {
	nc, err := nats.Connect(url)
	if err != nil {
		return err
	}
	return nc.Publish("orders", []byte("x"))
}
