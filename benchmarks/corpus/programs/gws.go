// SPDX-License-Identifier: Apache-2.0

package programs

import (
	"net/http"
	"strings"
	"time"

	"example.com/corpus/kit"
	"github.com/lxzan/gws"
)

// gwsEcho imitates lxzan/gws' README: the handler upgrades and starts ReadLoop on a
// goroutine of its own, "to let the handler's stack be collected". Without spans.
func gwsEcho() kit.Program {
	return kit.Program{Name: "gws-echo", Library: "lxzan/gws", Spans: kit.None, Run: func(w *kit.World) {
		up := gws.NewUpgrader(&gwsHandler{}, &gws.ServerOption{ParallelEnabled: true})
		mux := http.NewServeMux()
		mux.HandleFunc("/connect", func(rw http.ResponseWriter, r *http.Request) {
			socket, err := up.Upgrade(rw, r)
			if err != nil {
				return
			}
			go socket.ReadLoop()
		})
		w.Websockets(kit.Websockets{URL: strings.Replace(w.Serve(mux), "http", "ws", 1) + "/connect", Rate: kit.Wave(5), Session: 50 * time.Second, Every: 10 * time.Second, Message: "ping"})
	}}
}

type gwsHandler struct{ gws.BuiltinEventHandler }

func (*gwsHandler) OnMessage(socket *gws.Conn, message *gws.Message) {
	defer message.Close() //nolint:errcheck // returns a buffer to a pool
	_ = socket.WriteMessage(message.Opcode, message.Bytes())
}
