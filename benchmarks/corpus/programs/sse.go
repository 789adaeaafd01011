// SPDX-License-Identifier: Apache-2.0

package programs

import (
	"io"
	"net/http"
	"time"

	"example.com/corpus/kit"
)

// httpSSE imitates server-sent events with a heartbeat every 15 s, as the HTML
// standard recommends. Sessions last three minutes on average.
func httpSSE() kit.Program {
	return kit.Program{Name: "http-sse", Library: "net/http", Run: func(w *kit.World) {
		mux := http.NewServeMux()
		w.Harmless(mux)
		mux.HandleFunc("/events", w.Handle("GET /events", func(rw http.ResponseWriter, r *http.Request) { streamEvents(rw, r, 15*time.Second) }))
		url := w.Serve(mux)
		w.Clients(kit.Clients{URL: url + "/health", Rate: kit.Wave(5)})
		w.Clients(kit.Clients{URL: url + "/events", Rate: kit.Wave(1.5), Session: 3 * time.Minute})
	}}
}

// httpSSEQuiet is the same without spans and without heartbeats: its
// handlers wait for their client to leave.
func httpSSEQuiet() kit.Program {
	return kit.Program{Name: "http-sse-quiet", Library: "net/http", Spans: kit.None, Run: func(w *kit.World) {
		mux := http.NewServeMux()
		mux.HandleFunc("/events", func(rw http.ResponseWriter, r *http.Request) { streamEvents(rw, r, time.Hour) })
		w.Clients(kit.Clients{URL: w.Serve(mux) + "/events", Rate: kit.Wave(1.5), Session: 2 * time.Minute})
	}}
}

func streamEvents(rw http.ResponseWriter, r *http.Request, heartbeat time.Duration) {
	rw.Header().Set("Content-Type", "text/event-stream")
	_, _ = io.WriteString(rw, ": hello\n\n")
	_ = http.NewResponseController(rw).Flush()
	ticker := time.NewTicker(heartbeat)
	defer ticker.Stop()
	for {
		select {
		case <-r.Context().Done():
			return
		case <-ticker.C:
			_, _ = io.WriteString(rw, ": heartbeat\n\n")
			_ = http.NewResponseController(rw).Flush()
		}
	}
}
