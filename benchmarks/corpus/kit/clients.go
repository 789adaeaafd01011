// SPDX-License-Identifier: Apache-2.0

package kit

import (
	"context"
	"io"
	"net/http"
	"strings"
	"time"
)

// Clients are HTTP clients in a process of their own.
type Clients struct {
	URL, Method, Body string
	// Rate is the rate of requests or, with Session, of new clients.
	Rate Shape
	// Closed is the number of clients that ask one after the other instead, each
	// after the answer to its last and a pause of up to Pause.
	Closed int
	Pause  time.Duration
	// Timeout is when a client gives up on an answer, 0 never.
	Timeout time.Duration
	// Session is the mean time after which a client leaves, answered or not; 0 never.
	Session time.Duration
}

// Clients starts HTTP clients in a process of their own.
func (w *World) Clients(c Clients) { w.Role("http", c) }

// Harmless serves requests of a few milliseconds, and returns the route's
// handler, so that the program has something else to do.
func (w *World) Harmless(mux *http.ServeMux) {
	mux.HandleFunc("/health", w.Handle("GET /health", func(rw http.ResponseWriter, _ *http.Request) {
		time.Sleep(3 * time.Millisecond)
		_, _ = io.WriteString(rw, "ok")
	}))
}

// builtin are the roles that every program has.
func builtin() map[string]func(r *Role) {
	return map[string]func(r *Role){"http": httpClients, "websocket": websocketClients, "postgres": postgres, "redis": redis, "kafka": kafka}
}

func httpClients(r *Role) {
	var c Clients
	r.Args(&c)
	client := &http.Client{Timeout: c.Timeout, Transport: &http.Transport{MaxIdleConnsPerHost: 100, IdleConnTimeout: 20 * time.Second}}
	r.Say("ok")
	for range c.Closed {
		go func() {
			for Sleep(r.Ctx, Around(c.Pause+time.Millisecond)) {
				if c.Rate == nil || c.Rate.At(r.X()) > 0 {
					c.ask(r.Ctx, client)
				}
			}
		}()
	}
	if c.Closed == 0 {
		r.Arrivals(r.Ctx, c.Rate, func() { go c.ask(r.Ctx, client) })
	}
}

// ask makes one request and reads all of the answer.
func (c *Clients) ask(ctx context.Context, client *http.Client) {
	if c.Session > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, Around(c.Session))
		defer cancel()
	}
	method := c.Method
	if method == "" {
		method = http.MethodGet
	}
	req, err := http.NewRequestWithContext(ctx, method, c.URL, strings.NewReader(c.Body))
	Must(err)
	resp, err := client.Do(req)
	if err != nil {
		return
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
}
