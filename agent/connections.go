// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"net"
	"net/http"
	"slices"
	"sync"
)

// maxConnections is how many connections the agent's own listener keeps at a time: 128
// streams of the page and 64 for everything else. Each takes a file descriptor of the
// application.
const maxConnections = 192

// connections are the open connections of the agent's listener. When there are too many,
// the one that has waited longest without an authorized request is closed. So clients
// without a token displace each other, but neither a scraper nor a viewer.
type connections struct {
	mu   sync.Mutex
	open []*connection // the one that has waited longest comes first
}

// connection is one of them.
type connection struct {
	net.Conn
	all  *connections
	busy bool // guarded by all.mu
}

// limit returns a listener whose connections are bounded.
func limit(l net.Listener) net.Listener { return &limited{l, new(connections)} }

type limited struct {
	net.Listener
	all *connections
}

// Accept returns the next connection that there is room for.
func (l *limited) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if kept := l.all.add(c); kept != nil {
			return kept, nil
		}
		_ = c.Close() // the error has no reader
	}
}

// add makes room for a connection. It returns nil where all are busy.
func (a *connections) add(c net.Conn) *connection {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.open) >= maxConnections {
		i := slices.IndexFunc(a.open, func(o *connection) bool { return !o.busy })
		if i < 0 {
			return nil
		}
		_ = a.open[i].Conn.Close() // its goroutine of the server ends by that
		a.open = slices.Delete(a.open, i, i+1)
	}
	kept := &connection{Conn: c, all: a}
	a.open = append(a.open, kept)
	return kept
}

// Close closes the connection and forgets it.
func (c *connection) Close() error {
	c.all.mu.Lock()
	c.remove()
	c.all.mu.Unlock()
	return c.Conn.Close()
}

// remove takes c off the list. The list is locked.
func (c *connection) remove() {
	if i := slices.Index(c.all.open, c); i >= 0 {
		c.all.open = slices.Delete(c.all.open, i, i+1)
	}
}

// setBusy notes whether a request is being answered on c that must not be cut off. A
// connection that is no longer busy has waited for no time.
func (c *connection) setBusy(busy bool) {
	c.all.mu.Lock()
	defer c.all.mu.Unlock()
	c.busy = busy
	if i := slices.Index(c.all.open, c); !busy && i >= 0 {
		c.all.open = append(slices.Delete(c.all.open, i, i+1), c)
	}
}

type connectionKey struct{}

// withConnection lets handlers find the connection of a request.
func withConnection(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connectionKey{}, c)
}

// whileBusy serves a request whose connection must not be cut off meanwhile.
func whileBusy(next http.Handler, w http.ResponseWriter, r *http.Request) {
	if c, ok := r.Context().Value(connectionKey{}).(*connection); ok {
		c.setBusy(true)
		defer c.setBusy(false)
	}
	next.ServeHTTP(w, r)
}
