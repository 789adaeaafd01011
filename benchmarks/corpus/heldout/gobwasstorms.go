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

// gobwasStorms imitates a feed of prices to 300 websockets, of which a load balancer closes all
// every 150 s: they come back within 20 s. Each has a goroutine that reads and one that writes. It
// has no spans.
func gobwasStorms() kit.Program {
	return kit.Program{Name: "gobwas-storms", Library: "gobwas/ws", Spans: kit.None, Run: func(w *kit.World) {
		f := &priceFeed{out: map[*priceReader]bool{}}
		go func() {
			for kit.Sleep(w.Ctx, 2*time.Second) {
				f.publish([]byte(`{"eurusd":1.08}`))
			}
		}()
		mux := http.NewServeMux()
		w.Harmless(mux)
		mux.HandleFunc("/prices", w.Handle("GET /prices", f.serve))
		url := w.Serve(mux)
		w.Clients(kit.Clients{URL: url + "/health", Rate: kit.Constant(5)})
		w.Role("browsers", "ws"+url[len("http"):]+"/prices")
	}, Roles: map[string]func(*kit.Role){"browsers": stormyBrowsers}}
}

type priceFeed struct {
	mu  sync.Mutex
	out map[*priceReader]bool
}

type priceReader struct {
	conn net.Conn
	send chan []byte
}

func (f *priceFeed) publish(b []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for r := range f.out {
		select {
		case r.send <- b:
		default: // a slow browser misses a price
		}
	}
}

func (f *priceFeed) serve(rw http.ResponseWriter, req *http.Request) {
	conn, _, _, err := ws.UpgradeHTTP(req, rw)
	if err != nil {
		return
	}
	r := &priceReader{conn, make(chan []byte, 16)}
	f.mu.Lock()
	f.out[r] = true
	f.mu.Unlock()
	go r.write()
	go f.read(r)
}

// read reads until the browser leaves.
func (f *priceFeed) read(r *priceReader) {
	defer func() {
		f.mu.Lock()
		delete(f.out, r)
		f.mu.Unlock()
		close(r.send)
		_ = r.conn.Close()
	}()
	for {
		if _, _, err := wsutil.ReadClientData(r.conn); err != nil {
			return
		}
	}
}

func (r *priceReader) write() {
	for b := range r.send {
		_ = r.conn.SetWriteDeadline(time.Now().Add(10 * time.Second))
		if wsutil.WriteServerText(r.conn, b) != nil {
			_ = r.conn.Close()
		}
	}
}

// stormyBrowsers are 300 websockets that connect within a minute and, all together, again after
// every 150 s.
func stormyBrowsers(r *kit.Role) {
	var url string
	r.Args(&url)
	r.Say("ok")
	for i := range 300 {
		go func() {
			if !kit.Sleep(r.Ctx, time.Duration(i)*200*time.Millisecond) {
				return
			}
			for r.Ctx.Err() == nil {
				readPrices(r, url)
				kit.Sleep(r.Ctx, time.Duration(rand.Int64N(int64(20*time.Second))))
			}
		}()
	}
}

func readPrices(r *kit.Role, url string) {
	const between = 150 * time.Second
	storm := r.Start.Add(time.Since(r.Start).Truncate(between) + between)
	ctx, cancel := context.WithDeadline(r.Ctx, storm)
	defer cancel()
	conn, _, _, err := ws.Dial(ctx, url)
	if err != nil {
		return
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	defer conn.Close()
	for {
		if _, _, err := wsutil.ReadServerData(conn); err != nil {
			return
		}
	}
}
