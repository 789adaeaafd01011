// SPDX-License-Identifier: Apache-2.0

package heldout

import (
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"example.com/corpus/kit"
)

// udpPeers serves peers over one UDP socket, as CoAP, game and LoRaWAN servers do: one
// goroutine reads for all, and each peer has one that takes its packets and one that
// sends to it, now and then. Peers come at 3 a second, 750 in a run of ten minutes,
// send something once a minute, and stay until 75 to 90 % of the run are over. The server
// forgets a peer after three silent minutes. It has no spans. Written with knowledge
// of the detector: these sessions have no accepted connections.
func udpPeers() kit.Program {
	return kit.Program{Name: "udp-peers", Library: "net (UDP)", Spans: kit.None, Run: func(w *kit.World) {
		pc, err := net.ListenPacket("udp", "127.0.0.1:0")
		kit.Must(err)
		s := &udpServer{pc: pc, peers: map[string]*udpPeer{}}
		w.Role("peers", pc.LocalAddr().String())
		go w.Arrivals(w.Ctx, kit.Constant(2), s.pushToOne)
		buf := make([]byte, 1500)
		for {
			_, from, err := pc.ReadFrom(buf)
			kit.Must(err)
			select {
			case s.peer(from).in <- struct{}{}:
			default:
			}
		}
	}, Roles: map[string]func(*kit.Role){"peers": udpClients}}
}

type udpServer struct {
	pc    net.PacketConn
	mu    sync.Mutex
	peers map[string]*udpPeer
}

type udpPeer struct {
	addr net.Addr
	in   chan struct{}
	push chan string
}

func (s *udpServer) peer(addr net.Addr) *udpPeer {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.peers[addr.String()]
	if p == nil {
		p = &udpPeer{addr, make(chan struct{}, 8), make(chan string, 8)}
		s.peers[addr.String()] = p
		go s.receive(p)
		go s.send(p)
	}
	return p
}

func (s *udpServer) receive(p *udpPeer) {
	for {
		select {
		case <-p.in:
		case <-time.After(3 * time.Minute):
			s.mu.Lock()
			delete(s.peers, p.addr.String())
			close(p.push)
			s.mu.Unlock()
			return
		}
	}
}

func (s *udpServer) send(p *udpPeer) {
	for m := range p.push {
		_, _ = s.pc.WriteTo([]byte(m), p.addr)
	}
}

func (s *udpServer) pushToOne() {
	s.mu.Lock()
	defer s.mu.Unlock()
	skip := rand.IntN(len(s.peers) + 1)
	for _, p := range s.peers {
		if skip--; skip < 0 {
			select {
			case p.push <- "news":
			default:
			}
			return
		}
	}
}

func udpClients(r *kit.Role) {
	var address string
	r.Args(&address)
	r.Say("ok")
	r.Arrivals(r.Ctx, arriving(3), func() {
		go func() {
			conn, err := net.Dial("udp", address)
			if err != nil {
				return
			}
			defer conn.Close()
			for until := 0.75 + 0.15*rand.Float64(); r.X() < until; kit.Sleep(r.Ctx, kit.Around(time.Minute)) {
				_, _ = conn.Write([]byte("hello"))
			}
		}()
	})
}
