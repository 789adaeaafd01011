// SPDX-License-Identifier: Apache-2.0

package heldout

import (
	"io"
	"net"
	"time"

	"example.com/corpus/kit"
	"github.com/hashicorp/yamux"
)

// yamuxTunnels imitates tunnels as in HashiCorp's Consul and frp: a session for each
// agent with its receive, send and keep-alive loops, and streams over it. Agents stay
// for two minutes, streams for half a minute. It has no spans.
func yamuxTunnels() kit.Program {
	return kit.Program{Name: "yamux-tunnels", Library: "hashicorp/yamux", Spans: kit.None, Run: func(w *kit.World) {
		l := w.Listen()
		w.Role("agents", l.Addr().String())
		for {
			conn, err := l.Accept()
			kit.Must(err)
			go serveTunnel(conn)
		}
	}, Roles: map[string]func(*kit.Role){"agents": yamuxAgents}}
}

func yamuxConfig() *yamux.Config {
	c := yamux.DefaultConfig()
	c.LogOutput = io.Discard
	return c
}

func serveTunnel(conn net.Conn) {
	session, err := yamux.Server(conn, yamuxConfig())
	if err != nil {
		return
	}
	for {
		stream, err := session.Accept()
		if err != nil {
			return
		}
		go func() {
			_, _ = io.Copy(io.Discard, stream)
			_ = stream.Close()
		}()
	}
}

func yamuxAgents(r *kit.Role) {
	var address string
	r.Args(&address)
	r.Say("ok")
	r.Arrivals(r.Ctx, kit.Wave(0.8), func() {
		go func() {
			conn, err := net.Dial("tcp", address)
			if err != nil {
				return
			}
			session, err := yamux.Client(conn, yamuxConfig())
			if err != nil {
				return
			}
			defer session.Close() //nolint:errcheck // the session is over
			for end := time.Now().Add(kit.Around(2 * time.Minute)); time.Now().Before(end); kit.Sleep(r.Ctx, 15*time.Second) {
				if stream, err := session.Open(); err == nil {
					time.AfterFunc(kit.Around(30*time.Second), func() { _ = stream.Close() })
				}
			}
		}()
	})
}
