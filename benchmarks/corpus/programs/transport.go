// SPDX-License-Identifier: Apache-2.0

package programs

import (
	"context"
	"net/http"
	"sync"
	"time"

	"example.com/corpus/kit"
)

// httpTransportGrows has a client whose kept-alive connections grow by a batch of
// 20 every 25 s, as after each rollout of a peer: the idle
// connections' readLoop and writeLoop stay.
func httpTransportGrows() kit.Program {
	return kit.Program{Name: "http-transport-grows", Library: "net/http", Run: func(w *kit.World) {
		url := w.Role("slow-peer", nil)
		client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1000, IdleConnTimeout: 10 * time.Minute}}
		go func() {
			for batch := 20; kit.Sleep(w.Ctx, 25*time.Second); batch += 20 {
				if w.X() > 0.6 {
					batch = 0
				}
				w.Root("sync.peers", func(context.Context) {
					var wg sync.WaitGroup
					for range min(batch, 200) {
						wg.Go(func() { kit.GetAll(client, url) })
					}
					wg.Wait()
				})
			}
		}()
		w.Load(kit.Wave(5), func() { w.Root("GET /price", func(context.Context) { kit.GetAll(client, url) }) })
	}, Roles: map[string]func(*kit.Role){"slow-peer": kit.SlowPeer(300 * time.Millisecond)}}
}
