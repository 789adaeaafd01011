// SPDX-License-Identifier: Apache-2.0

package programs

import (
	"fmt"
	"net/http"

	"example.com/corpus/kit"
)

// httpBody has the best-known leak of net/http, which its documentation warns of: on one path the body of a
// response is not closed.
func httpBody() kit.Program {
	return kit.Program{Name: "http-body", Library: "net/http", Want: kit.Leak("GET /avatar", "net/http.(*persistConn)", "programs.fetchAvatar"), Run: func(w *kit.World) {
		peer := w.Role("peer", nil)
		client := &http.Client{Transport: &http.Transport{}}
		mux := http.NewServeMux()
		w.Harmless(mux)
		mux.HandleFunc("/avatar", w.Handle("GET /avatar", func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprintln(rw, fetchAvatar(client, peer)) }))
		url := w.Serve(mux)
		w.Clients(kit.Clients{URL: url + "/health", Rate: kit.Constant(10)})
		w.Clients(kit.Clients{URL: url + "/avatar", Rate: kit.Constant(4)})
	}, Roles: map[string]func(*kit.Role){"peer": kit.BigPeer(1 << 20)}}
}

func fetchAvatar(client *http.Client, url string) int {
	resp, err := client.Get(url) //nolint:bodyclose // the leak
	if err != nil {
		return 0
	}
	return resp.StatusCode
}
