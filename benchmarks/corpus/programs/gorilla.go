// SPDX-License-Identifier: Apache-2.0

package programs

import (
	"net/http"
	"strings"
	"time"

	"example.com/corpus/kit"
	"github.com/gorilla/websocket"
)

// gorillaChat imitates the chat example of gorilla/websocket (#726, decred/dcrdata#329,
// gitpod-io/gitpod#3108): the handler upgrades, starts two pumps and returns, so that
// its span ends. Sessions last 45 s on average.
func gorillaChat() kit.Program {
	return kit.Program{Name: "gorilla-chat", Library: "gorilla/websocket", Run: func(w *kit.World) {
		up := websocket.Upgrader{}
		mux := http.NewServeMux()
		w.Harmless(mux)
		mux.HandleFunc("/ws", w.Handle("GET /ws", func(rw http.ResponseWriter, r *http.Request) {
			conn, err := up.Upgrade(rw, r, nil)
			if err != nil {
				return
			}
			c := &chatClient{conn: conn, send: make(chan []byte, 16), done: make(chan struct{})}
			go c.writePump()
			go c.readPump()
		}))
		url := w.Serve(mux)
		w.Clients(kit.Clients{URL: url + "/health", Rate: kit.Wave(8)})
		w.Websockets(kit.Websockets{URL: strings.Replace(url, "http", "ws", 1) + "/ws", Rate: kit.Wave(4), Session: 45 * time.Second, Every: 4 * time.Second, Message: "hi"})
	}}
}

type chatClient struct {
	conn *websocket.Conn
	send chan []byte
	done chan struct{}
}

const pongWait = 60 * time.Second

func (c *chatClient) readPump() {
	defer close(c.done)
	defer c.conn.Close()
	c.conn.SetReadLimit(512)
	_ = c.conn.SetReadDeadline(time.Now().Add(pongWait))
	c.conn.SetPongHandler(func(string) error { return c.conn.SetReadDeadline(time.Now().Add(pongWait)) })
	for {
		_, m, err := c.conn.ReadMessage()
		if err != nil {
			return
		}
		select {
		case c.send <- m:
		default:
		}
	}
}

func (c *chatClient) writePump() {
	ticker := time.NewTicker(pongWait * 9 / 10)
	defer ticker.Stop()
	defer c.conn.Close()
	for {
		select {
		case m := <-c.send:
			if c.conn.WriteMessage(websocket.TextMessage, m) != nil {
				return
			}
		case <-ticker.C:
			if c.conn.WriteMessage(websocket.PingMessage, nil) != nil {
				return
			}
		case <-c.done:
			return
		}
	}
}

// gorillaQuiet is a notification service without spans: clients connect and say
// nothing, the handler reads until the client leaves, and a message comes now and
// then from a hub. Sessions last two minutes on average.
func gorillaQuiet() kit.Program {
	return kit.Program{Name: "gorilla-quiet", Library: "gorilla/websocket", Spans: kit.None, Run: func(w *kit.World) {
		up := websocket.Upgrader{}
		mux := http.NewServeMux()
		mux.HandleFunc("/notifications", func(rw http.ResponseWriter, r *http.Request) {
			conn, err := up.Upgrade(rw, r, nil)
			if err != nil {
				return
			}
			defer conn.Close()
			left := make(chan struct{})
			go func() {
				defer close(left)
				for {
					if _, _, err := conn.ReadMessage(); err != nil {
						return
					}
				}
			}()
			notify(conn, left)
		})
		url := w.Serve(mux)
		w.Websockets(kit.Websockets{URL: strings.Replace(url, "http", "ws", 1) + "/notifications", Rate: kit.Wave(2), Session: 2 * time.Minute, Every: time.Hour})
	}}
}

func notify(conn *websocket.Conn, left <-chan struct{}) {
	news := time.NewTicker(50 * time.Second)
	defer news.Stop()
	for {
		select {
		case <-left:
			return
		case <-news.C:
			if conn.WriteMessage(websocket.TextMessage, []byte("news")) != nil {
				return
			}
		}
	}
}
