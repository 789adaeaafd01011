// SPDX-License-Identifier: Apache-2.0

package heldout

import (
	"context"
	"net/http"
	"strings"
	"time"

	"example.com/corpus/kit"
	"github.com/coder/websocket"
)

// coderChat imitates the chat example of coder/websocket: a subscriber's handler
// stays for the session, uses CloseRead, and waits for messages with a buffer.
func coderChat() kit.Program {
	return kit.Program{Name: "coder-subscribe", Library: "coder/websocket", Spans: kit.None, Run: func(w *kit.World) {
		mux := http.NewServeMux()
		w.Harmless(mux)
		mux.HandleFunc("/subscribe", w.Handle("GET /subscribe", func(rw http.ResponseWriter, r *http.Request) {
			conn, err := websocket.Accept(rw, r, nil)
			if err != nil {
				return
			}
			defer conn.CloseNow() //nolint:errcheck // the session is over
			subscribe(conn.CloseRead(r.Context()), conn)
		}))
		url := w.Serve(mux)
		w.Clients(kit.Clients{URL: url + "/health", Rate: kit.Wave(6)})
		w.Websockets(kit.Websockets{URL: strings.Replace(url, "http", "ws", 1) + "/subscribe", Rate: kit.Wave(3), Session: 70 * time.Second, Every: time.Hour})
	}}
}

func subscribe(ctx context.Context, conn *websocket.Conn) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(30 * time.Second):
			if conn.Write(ctx, websocket.MessageText, []byte("news")) != nil {
				return
			}
		}
	}
}
