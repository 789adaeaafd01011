// SPDX-License-Identifier: Apache-2.0

package heldout

import (
	"net/http"
	"strings"
	"time"

	"example.com/corpus/kit"
	"github.com/olahol/melody"
)

// melodyRoom imitates olahol/melody's chat example: HandleRequest blocks for the
// session, and a write pump of the library's goes with it.
func melodyRoom() kit.Program {
	return kit.Program{Name: "melody-room", Library: "olahol/melody", Run: func(w *kit.World) {
		m := melody.New()
		m.HandleMessage(func(s *melody.Session, message []byte) { _ = s.Write(message) })
		mux := http.NewServeMux()
		w.Harmless(mux)
		mux.HandleFunc("/room", w.Handle("GET /room", func(rw http.ResponseWriter, r *http.Request) { _ = m.HandleRequest(rw, r) }))
		url := w.Serve(mux)
		w.Clients(kit.Clients{URL: url + "/health", Rate: kit.Wave(6)})
		w.Websockets(kit.Websockets{URL: strings.Replace(url, "http", "ws", 1) + "/room", Rate: kit.Wave(4), Session: 60 * time.Second, Every: 20 * time.Second, Message: "hi"})
	}}
}
