// SPDX-License-Identifier: Apache-2.0

package heldout

import (
	"context"
	"sync"
	"time"

	"example.com/corpus/kit"
	"github.com/nats-io/nats.go"
)

// natsTenants has a NATS connection of its own for each tenant, as accounts need, made
// when the tenant first comes after a start: 375 tenants come in the first four
// minutes of a run of ten. Each publishes once a minute and waits for commands, of
// which one comes every two minutes, for all. Written with knowledge of the detector: goroutines
// of connections that the program opened itself, and which seldom run.
func natsTenants() kit.Program {
	return kit.Program{Name: "nats-per-tenant", Library: "nats-io/nats.go", Run: func(w *kit.World) {
		url := w.Role("server", nil)
		var t tenantConns
		go t.publish(w)
		w.Load(arriving(1.5), func() { w.Root("POST /activate", func(context.Context) { t.add(url) }) })
		w.Load(kit.Wave(20), func() { w.Root("GET /", func(context.Context) { time.Sleep(3 * time.Millisecond) }) })
	}, Roles: map[string]func(*kit.Role){"server": natsBroker}}
}

type tenantConns struct {
	mu  sync.Mutex
	all []*nats.Conn
}

func (t *tenantConns) add(url string) {
	nc, err := nats.Connect(url)
	if err != nil {
		return
	}
	_, err = nc.Subscribe("commands", func(*nats.Msg) {})
	kit.Must(err)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all = append(t.all, nc)
}

// publish publishes for each tenant once a minute, and a command for all of them
// every two minutes.
func (t *tenantConns) publish(w *kit.World) {
	for i := 0; kit.Sleep(w.Ctx, time.Second); i++ {
		t.mu.Lock()
		for k, nc := range t.all {
			if k%60 == i%60 {
				_ = nc.Publish("events", []byte("x"))
			}
		}
		if i%120 == 0 && len(t.all) > 0 {
			_ = t.all[0].Publish("commands", []byte("reload"))
		}
		t.mu.Unlock()
	}
}
