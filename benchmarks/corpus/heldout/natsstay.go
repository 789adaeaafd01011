// SPDX-License-Identifier: Apache-2.0

package heldout

import (
	"fmt"
	"time"

	"example.com/corpus/kit"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// natsStay embeds a NATS server. Clients connect at 8 a second, 2,000 in a run of ten
// minutes. Each subscribes, publishes once a minute, and stays until the end. It has
// no spans.
func natsStay() kit.Program {
	return kit.Program{Name: "nats-clients-stay", Library: "nats-io/nats-server/v2", Spans: kit.None, Run: func(w *kit.World) {
		w.Role("clients", startBroker().ClientURL())
	}, Roles: map[string]func(*kit.Role){"clients": natsStayers}}
}

func natsStayers(r *kit.Role) {
	var url string
	r.Args(&url)
	r.Say("ok")
	n := 0
	r.Arrivals(r.Ctx, arriving(8), func() {
		n++
		subject := fmt.Sprint("client.", n)
		go func() {
			nc, err := nats.Connect(url)
			if err != nil {
				return
			}
			defer nc.Close()
			_, _ = nc.Subscribe(subject, func(*nats.Msg) {})
			for kit.Sleep(r.Ctx, kit.Around(time.Minute)) {
				_ = nc.Publish(subject, []byte("hello"))
			}
		}()
	})
}

func startBroker() *server.Server {
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, NoLog: true, NoSigs: true})
	kit.Must(err)
	go s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		kit.Must(fmt.Errorf("the NATS server does not start"))
	}
	return s
}

// natsBroker is a role: a NATS server. It says its URL.
func natsBroker(r *kit.Role) { r.Say(startBroker().ClientURL()) }
