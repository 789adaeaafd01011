// SPDX-License-Identifier: Apache-2.0

package heldout

import (
	"math/rand/v2"
	"net"
	"time"

	"example.com/corpus/kit"
	"github.com/miekg/dns"
)

// dnsForwarder imitates CoreDNS's forward plugin over miekg/dns: each query waits for
// a server upstream, which takes up to five seconds. Some clients keep a TCP
// connection for a minute and a half and ask every 20 s (RFC 7766). It has no spans.
func dnsForwarder() kit.Program {
	return kit.Program{Name: "dns-forwarder", Library: "miekg/dns", Spans: kit.None, Run: func(w *kit.World) {
		upstream := w.Role("upstream", nil)
		forward := dns.HandlerFunc(func(rw dns.ResponseWriter, q *dns.Msg) {
			c := &dns.Client{Timeout: 6 * time.Second}
			answer, _, err := c.Exchange(q, upstream)
			if err != nil {
				answer = new(dns.Msg).SetRcode(q, dns.RcodeServerFailure)
			}
			_ = rw.WriteMsg(answer)
		})
		udp, err := net.ListenPacket("udp", "127.0.0.1:0")
		kit.Must(err)
		tcp := w.Listen()
		idle := func() time.Duration { return 2 * time.Minute }
		go func() { kit.Must((&dns.Server{PacketConn: udp, Handler: forward}).ActivateAndServe()) }()
		go func() {
			kit.Must((&dns.Server{Listener: tcp, Handler: forward, IdleTimeout: idle, MaxTCPQueries: -1}).ActivateAndServe())
		}()
		w.Role("clients", [2]string{udp.LocalAddr().String(), tcp.Addr().String()})
	}, Roles: map[string]func(*kit.Role){"upstream": slowDNS, "clients": dnsClients}}
}

func slowDNS(r *kit.Role) {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	kit.Must(err)
	answer := dns.HandlerFunc(func(rw dns.ResponseWriter, q *dns.Msg) {
		kit.Sleep(r.Ctx, time.Duration(200+rand.IntN(4800))*time.Millisecond)
		_ = rw.WriteMsg(new(dns.Msg).SetReply(q))
	})
	go func() { kit.Must((&dns.Server{PacketConn: pc, Handler: answer}).ActivateAndServe()) }()
	r.Say(pc.LocalAddr().String())
}

func dnsClients(r *kit.Role) {
	var addresses [2]string
	r.Args(&addresses)
	r.Say("ok")
	query := func() *dns.Msg { return new(dns.Msg).SetQuestion("example.org.", dns.TypeA) }
	go r.Arrivals(r.Ctx, kit.Wave(15), func() {
		go func() { _, _, _ = (&dns.Client{Timeout: 7 * time.Second}).Exchange(query(), addresses[0]) }()
	})
	r.Arrivals(r.Ctx, kit.Wave(1), func() {
		go func() {
			c := &dns.Client{Net: "tcp", Timeout: 7 * time.Second}
			conn, err := c.Dial(addresses[1])
			if err != nil {
				return
			}
			defer conn.Close()
			for end := time.Now().Add(kit.Around(90 * time.Second)); time.Now().Before(end) && kit.Sleep(r.Ctx, 20*time.Second); {
				if _, _, err := c.ExchangeWithConn(query(), conn); err != nil {
					return
				}
			}
		}()
	})
}
