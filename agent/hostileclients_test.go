// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/agent"
	"github.com/gmpulse/gmpulse/internal/testutil"
)

// maxOpen is the maximum number of connections in docs/configuration.md.
const maxOpen = 192

// hostile is a client that keeps its connections open.
type hostile struct {
	t       *testing.T
	address string
	ended   chan struct{} // receives once for each connection that the agent closed
}

func newHostile(t *testing.T, a *agent.Agent) *hostile {
	t.Helper()
	return &hostile{t, strings.TrimSuffix(strings.TrimPrefix(a.URL(), "http://"), "/"), make(chan struct{}, 4096)}
}

// dial opens a connection, writes text, and calls answer with the response.
func (h *hostile) dial(text string, answer func(*bufio.Reader)) {
	h.t.Helper()
	c, err := (&net.Dialer{}).DialContext(h.t.Context(), "tcp", h.address)
	if err != nil {
		h.t.Fatal(err)
	}
	done := make(chan struct{})
	h.t.Cleanup(func() { _ = c.Close(); <-done })
	_, _ = io.WriteString(c, text) // the agent may have closed it already
	go func() {
		defer close(done)
		r := bufio.NewReader(c)
		if answer != nil {
			answer(r)
		}
		_, _ = io.Copy(io.Discard, r) // until the agent closes it
		h.ended <- struct{}{}
	}()
}

// closed waits until the agent has closed n connections.
func (h *hostile) closed(n int) {
	h.t.Helper()
	deadline := time.After(30 * time.Second)
	for i := range n {
		select {
		case <-h.ended:
		case <-deadline:
			h.t.Fatalf("%d connections were closed, want %d", i, n)
		}
	}
}

// scrapes asserts that a client with the token is served.
func scrapes(t *testing.T, a *agent.Agent) {
	t.Helper()
	for range 20 {
		code, _ := ask(t, http.MethodGet, a.URL()+"metrics", func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) })
		if code != http.StatusOK {
			t.Fatalf("a scrape is answered %d", code)
		}
	}
}

// The agent closes the connection of a refused client although it asks for keep-alive.
func TestRefusedClientsAreDisconnected(t *testing.T) {
	a, _ := start(t, agent.WithAccess(agent.Access{Token: token}))
	h := newHostile(t, a)
	codes := make(chan int, 1015)
	for range cap(codes) {
		h.dial("GET /debug/gmpulse/ HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n", func(r *bufio.Reader) {
			resp, err := http.ReadResponse(r, nil)
			if err != nil {
				codes <- 0
				return
			}
			codes <- resp.StatusCode
			_ = resp.Body.Close()
		})
	}
	h.closed(cap(codes))
	for range cap(codes) {
		if code := <-codes; code != http.StatusUnauthorized && code != 0 { // 0: closed to make room
			t.Fatalf("answered %d", code)
		}
	}
	scrapes(t, a)
}

// The agent closes connections without a complete request when it needs room.
func TestIdleConnectionsAreClosed(t *testing.T) {
	for name, text := range map[string]string{
		"nothing is sent":          "",
		"slow headers":             "GET /metrics HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
		"a line without end":       "GET /" + strings.Repeat("a", 2000),
		"no body where one is due": "POST /debug/gmpulse/api/v1/captures HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			a, _ := start(t, agent.WithAccess(agent.Access{Token: token}))
			h := newHostile(t, a)
			const opened = 400
			for range opened {
				h.dial(text, nil)
			}
			h.closed(opened - maxOpen)
			scrapes(t, a)
			stop(t, a)
		})
	}
}

// Clients without a token do not disconnect an authorized viewer of the page.
func TestViewersStayConnected(t *testing.T) {
	a, _ := start(t, agent.WithAccess(agent.Access{Token: token}))
	h, viewer := newHostile(t, a), newHostile(t, a)
	lines := make(chan string, 4096)
	viewer.dial(fmt.Sprintf("GET /debug/gmpulse/api/v1/stream HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n\r\n", token), func(r *bufio.Reader) {
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				close(lines)
				return
			}
			select {
			case lines <- line:
			default:
			}
		}
	})
	if first := <-lines; !strings.Contains(first, "200 OK") {
		t.Fatalf("the stream begins with %q", first)
	}
	for range 400 {
		h.dial("", nil)
	}
	h.closed(400 - maxOpen)
	for range cap(lines) {
		line, ok := <-lines
		if !ok {
			t.Fatal("the stream ended")
		}
		if strings.HasPrefix(line, "data: ") {
			return
		}
	}
}

// Clients that pipeline requests and read no response delay neither scrapes nor the page.
func TestPipeliningClientsDelayNoOther(t *testing.T) {
	a, _ := start(t)
	testutil.Eventually(t, "a sample", func() bool { return a.Snapshot() != nil })
	address := strings.TrimSuffix(strings.TrimPrefix(a.URL(), "http://"), "/")
	for path, clients := range map[string]int{"/metrics": 40, "/debug/gmpulse/api/v1/history": 4, "/debug/gmpulse/api/v1/goroutines": 4} {
		for range clients {
			c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			written := make(chan struct{})
			t.Cleanup(func() { _ = c.Close(); <-written })
			go func() { // ends when the agent or the test closes the connection
				defer close(written)
				_, _ = io.WriteString(c, strings.Repeat("GET "+path+" HTTP/1.1\r\nHost: localhost\r\n\r\n", 2000))
			}()
		}
	}
	for range 20 {
		for _, path := range []string{"metrics", "healthz", "debug/gmpulse/api/v1/history"} {
			if code, body := get(t, a.URL()+path); code != http.StatusOK {
				t.Fatalf("/%s is answered %d: %.200s", path, code, body)
			}
		}
	}
}
