// SPDX-License-Identifier: Apache-2.0

package heldout

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"example.com/corpus/kit"
)

// deviceGateway holds TCP connections of devices, as an IoT gateway with a line
// protocol does. Devices connect at 4 a second, 1,000 in a run of ten minutes, report
// once a minute, and leave when 75 to 90 % of the run are over. Three goroutines are
// made for each under the root span of its connect: one reads, one waits for
// commands, which come every few minutes, and one waits for the end.
func deviceGateway() kit.Program {
	return kit.Program{Name: "device-gateway", Library: "net", Run: func(w *kit.World) {
		var g gateway
		go w.Arrivals(w.Ctx, kit.Constant(4), g.command)
		l := w.Listen()
		w.Role("devices", l.Addr().String())
		for {
			conn, err := l.Accept()
			kit.Must(err)
			w.Root("device.connect", func(context.Context) { g.connect(w, conn) })
		}
	}, Roles: map[string]func(*kit.Role){"devices": devices}}
}

type gateway struct {
	mu      sync.Mutex
	devices []*device
}

// device is a connection, and what is to be sent over it.
type device struct {
	conn     net.Conn
	commands chan string
	gone     chan struct{}
}

func (g *gateway) connect(w *kit.World, conn net.Conn) {
	d := &device{conn, make(chan string, 4), make(chan struct{})}
	g.mu.Lock()
	g.devices = append(g.devices, d)
	g.mu.Unlock()
	go d.read(w)
	go d.send()
	go func() {
		<-d.gone
		g.forget(d)
	}()
}

func (g *gateway) forget(d *device) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, x := range g.devices {
		if x == d {
			g.devices = append(g.devices[:i], g.devices[i+1:]...)
			return
		}
	}
}

// command sends a command to one device.
func (g *gateway) command() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.devices) > 0 {
		select {
		case g.devices[rand.IntN(len(g.devices))].commands <- "restart\n":
		default:
		}
	}
}

func (d *device) read(w *kit.World) {
	defer close(d.gone)
	defer d.conn.Close()
	for lines := bufio.NewScanner(d.conn); lines.Scan(); {
		w.Root("device.report", func(context.Context) { time.Sleep(time.Millisecond) })
	}
}

func (d *device) send() {
	for {
		select {
		case c := <-d.commands:
			if _, err := d.conn.Write([]byte(c)); err != nil {
				return
			}
		case <-d.gone:
			return
		}
	}
}

func devices(r *kit.Role) {
	var address string
	r.Args(&address)
	r.Say("ok")
	r.Arrivals(r.Ctx, arriving(4), func() {
		go func() {
			conn, err := net.Dial("tcp", address)
			if err != nil {
				return
			}
			defer conn.Close()
			until := 0.75 + 0.15*rand.Float64()
			for r.X() < until && kit.Sleep(r.Ctx, kit.Around(time.Minute)) {
				fmt.Fprintln(conn, "temperature 21")
			}
		}()
	})
}
