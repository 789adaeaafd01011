// SPDX-License-Identifier: Apache-2.0

package heldout

import (
	"context"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"

	"example.com/corpus/kit"
	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// lobbyDeadlock is a chat that sends to its members while it holds the lock on them, and whose members
// take the lock to leave. When a member's network freezes, its writer fails and wants to leave
// while the chat waits for the writer. Later members wait for the lock.
func lobbyDeadlock() kit.Program {
	return kit.Program{Name: "lobby-deadlock", Library: "gobwas/ws", Want: kit.Hang("GET /lobby", "heldout.(*lobby)"), Run: func(w *kit.World) {
		m := &lobby{members: map[*lobbyMember]bool{}}
		go func() {
			text := make([]byte, 8<<10)
			for kit.Sleep(w.Ctx, time.Second) {
				m.broadcast(text)
			}
		}()
		mux := http.NewServeMux()
		w.Harmless(mux)
		mux.HandleFunc("/lobby", w.Handle("GET /lobby", m.serve))
		l := smallBuffers{w.Listen()}
		s := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
		go func() { _ = s.Serve(l) }()
		w.Clients(kit.Clients{URL: "http://" + l.Addr().String() + "/health", Rate: kit.Constant(8)})
		w.Role("people", "ws://"+l.Addr().String()+"/lobby")
	}, Roles: map[string]func(*kit.Role){"people": lobbyPeople}}
}

type lobby struct {
	mu      sync.Mutex
	members map[*lobbyMember]bool
}

type lobbyMember struct {
	conn net.Conn
	send chan []byte
}

func (m *lobby) broadcast(b []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for who := range m.members {
		who.send <- b
	}
}

func (m *lobby) join(who *lobbyMember) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.members[who] = true
}

func (m *lobby) leave(who *lobbyMember) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.members[who] {
		delete(m.members, who)
		close(who.send)
	}
}

func (m *lobby) serve(rw http.ResponseWriter, req *http.Request) {
	conn, _, _, err := ws.UpgradeHTTP(req, rw)
	if err != nil {
		return
	}
	defer conn.Close()
	who := &lobbyMember{conn, make(chan []byte, 8)}
	m.join(who)
	defer m.leave(who)
	go m.write(who)
	for {
		if _, _, err := wsutil.ReadClientData(conn); err != nil {
			return
		}
	}
}

func (m *lobby) write(who *lobbyMember) {
	for b := range who.send {
		_ = who.conn.SetWriteDeadline(time.Now().Add(15 * time.Second))
		if wsutil.WriteServerText(who.conn, b) != nil {
			m.leave(who)
			return
		}
	}
}

// lobbyPeople stay for 40 s on average. One of twenty freezes after the first minute.
func lobbyPeople(r *kit.Role) {
	var url string
	r.Args(&url)
	r.Say("ok")
	dialer := ws.Dialer{NetDial: dialSmall}
	r.Arrivals(r.Ctx, kit.Constant(1), func() {
		go func() {
			ctx, cancel := context.WithTimeout(r.Ctx, kit.Around(40*time.Second))
			defer cancel()
			conn, _, _, err := dialer.Dial(ctx, url)
			if err != nil {
				return
			}
			defer conn.Close()
			if time.Since(r.Start) > time.Minute && rand.IntN(20) == 0 {
				<-r.Ctx.Done()
			}
			context.AfterFunc(ctx, func() { _ = conn.Close() })
			for err == nil {
				_, _, err = wsutil.ReadServerData(conn)
			}
		}()
	})
}
