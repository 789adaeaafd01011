// SPDX-License-Identifier: Apache-2.0

package heldout

import (
	"context"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"time"

	"example.com/corpus/kit"
	"github.com/armon/go-socks5"
	"golang.org/x/net/proxy"
)

// socksTunnels imitates a proxy through which many connections are dialed: two of three end after
// seconds, and one of three stays for four minutes on average with a message every 50 s. It has
// no spans.
func socksTunnels() kit.Program {
	return kit.Program{Name: "socks-tunnels", Library: "armon/go-socks5", Spans: kit.None, Run: func(w *kit.World) {
		target := w.Role("target", nil)
		server, err := socks5.New(&socks5.Config{Logger: log.New(io.Discard, "", 0)})
		kit.Must(err)
		l := w.Listen()
		go func() { _ = server.Serve(l) }()
		w.Role("clients", [2]string{l.Addr().String(), target})
	}, Roles: map[string]func(*kit.Role){"clients": socksClients, "target": echoTarget}}
}

// echoTarget sends back what it receives. It says its address.
func echoTarget(r *kit.Role) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	kit.Must(err)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	r.Say(l.Addr().String())
}

func socksClients(r *kit.Role) {
	var addresses [2]string
	r.Args(&addresses)
	r.Say("ok")
	dialer, err := proxy.SOCKS5("tcp", addresses[0], nil, proxy.Direct)
	kit.Must(err)
	r.Arrivals(r.Ctx, kit.Wave(3), func() {
		go func() {
			every, mean := time.Second, 4*time.Second
			if rand.IntN(3) == 0 {
				every, mean = 50*time.Second, 4*time.Minute
			}
			ctx, cancel := context.WithTimeout(r.Ctx, kit.Around(mean))
			defer cancel()
			c, err := dialer.Dial("tcp", addresses[1])
			if err != nil {
				return
			}
			defer c.Close()
			go func() { _, _ = io.Copy(io.Discard, c) }()
			for err == nil && kit.Sleep(ctx, every) {
				_, err = io.WriteString(c, "hello")
			}
		}()
	})
}
