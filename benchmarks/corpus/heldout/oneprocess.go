// SPDX-License-Identifier: Apache-2.0

package heldout

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"time"

	"example.com/corpus/kit"
)

// oneProcess has a server and its clients in one process, as integration tests and
// sidecars have: 30 clients poll for 40 s, others stream for a minute, and the
// short ones come and go. Here with spans on the server's side.
func oneProcess() kit.Program {
	return kit.Program{Name: "one-process", Library: "net/http", Run: serverAndClients}
}

// oneProcessQuiet is the same without spans.
func oneProcessQuiet() kit.Program {
	return kit.Program{Name: "one-process-no-spans", Library: "net/http", Spans: kit.None, Run: serverAndClients}
}

func serverAndClients(w *kit.World) {
	mux := http.NewServeMux()
	mux.HandleFunc("/poll", w.Handle("GET /poll", func(rw http.ResponseWriter, r *http.Request) {
		kit.Sleep(r.Context(), time.Duration(20+rand.IntN(20))*time.Second)
		fmt.Fprintln(rw, "nothing")
	}))
	mux.HandleFunc("/stream", w.Handle("GET /stream", func(rw http.ResponseWriter, r *http.Request) {
		for end := time.Now().Add(kit.Around(time.Minute)); time.Now().Before(end) && kit.Sleep(r.Context(), 3*time.Second); {
			_, _ = io.WriteString(rw, "part\n")
			_ = http.NewResponseController(rw).Flush()
		}
	}))
	mux.HandleFunc("/short", w.Handle("GET /short", func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprintln(rw, "ok") }))
	url := w.Serve(mux)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 300}}
	for range 30 {
		go func() {
			for kit.Sleep(w.Ctx, time.Second) && w.X() < 0.8 {
				kit.GetAll(client, url+"/poll")
			}
		}()
	}
	w.Load(kit.Wave(2), func() { kit.GetAll(client, url+"/stream") })
	w.Load(kit.Wave(8), func() { kit.GetAll(client, url+"/short") })
}
