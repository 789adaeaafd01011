// SPDX-License-Identifier: Apache-2.0

package heldout

import (
	"net/http"
	"strings"
	"sync"
	"time"

	"example.com/corpus/kit"
	"github.com/gin-gonic/gin"
	"github.com/gorilla/websocket"
	"go.opentelemetry.io/contrib/instrumentation/github.com/gin-gonic/gin/otelgin"
)

// ginOtel is a Gin service with otelgin. Websocket clients connect at 5 a second,
// 1,250 in a run of ten minutes, and stay. Half of them are read by the handler, beside a goroutine
// that writes. For the other half the handler starts two pumps and returns, as in the
// chat example of gorilla/websocket. A hub sends to a hundredth of them every second.
func ginOtel() kit.Program {
	return kit.Program{Name: "gin-otel-websockets", Library: "otelgin", Run: func(w *kit.World) {
		gin.SetMode(gin.ReleaseMode)
		e := gin.New()
		e.Use(otelgin.Middleware("corpus"))
		var hub pushHub
		go hub.run(w)
		e.GET("/orders/:id", func(c *gin.Context) { time.Sleep(3 * time.Millisecond); c.String(http.StatusOK, "order") })
		e.GET("/live", func(c *gin.Context) {
			if p := hub.join(c); p != nil {
				go p.write()
				p.read()
				hub.leave(p)
			}
		})
		e.GET("/chat", func(c *gin.Context) {
			if p := hub.join(c); p != nil {
				go p.write()
				go func() {
					p.read()
					hub.leave(p)
				}()
			}
		})
		url := w.Serve(e)
		w.Clients(kit.Clients{URL: url + "/orders/7", Rate: kit.Wave(15)})
		for _, path := range []string{"/live", "/chat"} {
			w.Websockets(kit.Websockets{URL: strings.Replace(url, "http", "ws", 1) + path, Rate: arriving(2.5), Session: 10 * time.Hour, Every: 10 * time.Hour})
		}
	}}
}

type pushHub struct {
	up    websocket.Upgrader
	mu    sync.Mutex
	peers map[*pushPeer]bool
}

// pushPeer is a websocket client and what is to be sent to it.
type pushPeer struct {
	conn *websocket.Conn
	send chan string
}

func (h *pushHub) run(w *kit.World) {
	for kit.Sleep(w.Ctx, time.Second) {
		h.mu.Lock()
		left := len(h.peers) / 100
		for p := range h.peers {
			if left--; left < 0 {
				break
			}
			select {
			case p.send <- "news":
			default:
			}
		}
		h.mu.Unlock()
	}
}

func (h *pushHub) join(c *gin.Context) *pushPeer {
	conn, err := h.up.Upgrade(c.Writer, c.Request, nil)
	if err != nil {
		return nil
	}
	p := &pushPeer{conn, make(chan string, 8)}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.peers == nil {
		h.peers = map[*pushPeer]bool{}
	}
	h.peers[p] = true
	return p
}

func (h *pushHub) leave(p *pushPeer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.peers, p)
	close(p.send)
}

func (p *pushPeer) read() {
	for {
		if _, _, err := p.conn.ReadMessage(); err != nil {
			return
		}
	}
}

func (p *pushPeer) write() {
	defer p.conn.Close()
	for m := range p.send {
		if p.conn.WriteMessage(websocket.TextMessage, []byte(m)) != nil {
			return
		}
	}
}
