// SPDX-License-Identifier: Apache-2.0

package heldout

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"example.com/corpus/kit"
	"github.com/gorilla/websocket"
)

// besideSessions leaks a goroutine for each order, 1.5 a second, while websocket
// clients connect at 4 a second, for 250 s of ten minutes, and stay. It imitates
// BishopFox/sliver#1089: the receiver has left after a timeout. Written with knowledge
// of the detector: at first there are more new connections than leaked goroutines.
func besideSessions() kit.Program {
	return kit.Program{Name: "leak-beside-sessions", Library: "gorilla/websocket", Long: true, Want: kit.Leak("POST /order", "heldout.notifyWarehouse"), Run: func(w *kit.World) {
		up := websocket.Upgrader{}
		mux := http.NewServeMux()
		mux.HandleFunc("/ws", w.Handle("GET /ws", func(rw http.ResponseWriter, r *http.Request) {
			conn, err := up.Upgrade(rw, r, nil)
			if err != nil {
				return
			}
			defer conn.Close()
			for err == nil {
				_, _, err = conn.ReadMessage()
			}
		}))
		mux.HandleFunc("/order", w.Handle("POST /order", func(rw http.ResponseWriter, _ *http.Request) {
			done := make(chan bool)
			go notifyWarehouse(done)
			select {
			case <-done:
			case <-time.After(2 * time.Millisecond):
			}
			fmt.Fprintln(rw, "ok")
		}))
		url := w.Serve(mux)
		w.Clients(kit.Clients{URL: url + "/order", Method: http.MethodPost, Rate: kit.Constant(1.5)})
		w.Websockets(kit.Websockets{URL: strings.Replace(url, "http", "ws", 1) + "/ws", Rate: arriving(4), Session: 10 * time.Hour, Every: time.Minute, Message: "hi"})
	}}
}

func notifyWarehouse(done chan<- bool) {
	time.Sleep(20 * time.Millisecond)
	done <- true
}
