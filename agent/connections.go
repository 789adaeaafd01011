// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"net"
	"net/http"
	"slices"
	"sync"
)

// Each connection of the agent's server uses a file descriptor of the application. The server
// keeps at most a quarter of the descriptors that the process may open, and at most
// maxConnections.
const (
	maxConnections = 192
	minConnections = 24 // even if a quarter of the descriptors is less
)

// connectionLimit returns the maximum number of connections for a limit on open files, where
// 0 means that the limit is unknown.
func connectionLimit(files uint64) int {
	if files == 0 {
		return maxConnections
	}
	return int(min(max(files/4, minConnections), maxConnections))
}

// viewerLimit returns how many of the connections may be streams of the page. The rest remain
// for scrapers and other requests.
func viewerLimit(connections int) int { return connections * 2 / 3 }

// connections holds the open connections of the agent's server. If there are too many, it
// closes the one that has waited longest without an authorized request. So clients without a
// token disconnect each other, but neither scrapers nor viewers of the page.
type connections struct {
	max int

	mu   sync.Mutex
	open []*connection // the one that has waited longest is first
}

// connection is one open connection.
type connection struct {
	net.Conn
	all  *connections
	busy bool // guarded by all.mu
}

// limit returns a listener with at most n open connections.
func limit(l net.Listener, n int) net.Listener { return &limited{l, &connections{max: n}} }

type limited struct {
	net.Listener
	all *connections
}

// Accept returns the next connection. It closes connections for which there is no room.
func (l *limited) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if kept := l.all.add(c); kept != nil {
			return kept, nil
		}
		_ = c.Close() // nothing to do about an error
	}
}

// add adds a connection and closes another one if necessary. It returns nil if all are busy.
func (a *connections) add(c net.Conn) *connection {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.open) >= a.max {
		i := slices.IndexFunc(a.open, func(o *connection) bool { return !o.busy })
		if i < 0 {
			return nil
		}
		_ = a.open[i].Conn.Close() // which ends its goroutine in the server
		a.open = slices.Delete(a.open, i, i+1)
	}
	kept := &connection{Conn: c, all: a}
	a.open = append(a.open, kept)
	return kept
}

// Close closes the connection and removes it from the list.
func (c *connection) Close() error {
	c.all.mu.Lock()
	c.remove()
	c.all.mu.Unlock()
	return c.Conn.Close()
}

// remove removes c from the list. c.all.mu is held.
func (c *connection) remove() {
	if i := slices.Index(c.all.open, c); i >= 0 {
		c.all.open = slices.Delete(c.all.open, i, i+1)
	}
}

// setBusy records whether an authorized request is in progress on c. A connection that is no
// longer busy starts to wait and moves to the end of the list.
func (c *connection) setBusy(busy bool) {
	c.all.mu.Lock()
	defer c.all.mu.Unlock()
	c.busy = busy
	if i := slices.Index(c.all.open, c); !busy && i >= 0 {
		c.all.open = append(slices.Delete(c.all.open, i, i+1), c)
	}
}

type connectionKey struct{}

// withConnection stores the connection of a request in its context.
func withConnection(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connectionKey{}, c)
}

// markBusy marks the connection of an authorized request as busy until onState marks it as idle.
func markBusy(r *http.Request) {
	if c, ok := r.Context().Value(connectionKey{}).(*connection); ok {
		c.setBusy(true)
	}
}

// onState marks a connection as idle when the server has sent the whole response, which is after
// the handler has returned. It is the server's ConnState.
func onState(c net.Conn, state http.ConnState) {
	if own, ok := c.(*connection); ok && state == http.StateIdle {
		own.setBusy(false)
	}
}
