// SPDX-License-Identifier: Apache-2.0

package kit

import (
	"time"

	"github.com/gorilla/websocket"
)

// Websockets are websocket clients in a process of their own: each connects, sends
// a message at every interval, reads what comes, and leaves after its session.
type Websockets struct {
	URL     string
	Rate    Shape         // of new clients
	Session time.Duration // mean
	Every   time.Duration
	Message string
}

// Websockets starts websocket clients in a process of their own.
func (w *World) Websockets(c Websockets) { w.Role("websocket", c) }

func websocketClients(r *Role) {
	var c Websockets
	r.Args(&c)
	r.Say("ok")
	r.Arrivals(r.Ctx, c.Rate, func() { go c.session(r) })
}

func (c *Websockets) session(r *Role) {
	conn, resp, err := websocket.DefaultDialer.DialContext(r.Ctx, c.URL, nil)
	if err != nil {
		return
	}
	_ = resp.Body.Close()
	defer conn.Close()
	go func() {
		for {
			if _, _, err := conn.ReadMessage(); err != nil {
				return
			}
		}
	}()
	for end := time.Now().Add(Around(c.Session)); time.Now().Before(end) && Sleep(r.Ctx, c.Every); {
		if conn.WriteMessage(websocket.TextMessage, []byte(c.Message)) != nil {
			return
		}
	}
	_ = conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), time.Now().Add(time.Second))
}
