// SPDX-License-Identifier: Apache-2.0

package heldout

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"example.com/corpus/kit"
)

// waitGroup imitates moby/moby#25384: a worker returns without Done on one path, which
// one in four takes, and the request that waits for the worker is never answered.
func waitGroup() kit.Program {
	return kit.Program{Name: "waitgroup-never-done", Library: "sync", Want: kit.Hang("GET /merge", "heldout.mergeAll"), Run: func(w *kit.World) {
		var n atomic.Int64
		w.ServeRoute("GET /merge", 5, func(context.Context) { mergeAll(n.Add(1)%4 == 0) })
	}}
}

func mergeAll(fails bool) {
	var wg sync.WaitGroup
	for i := range 3 {
		wg.Add(1)
		go func() {
			time.Sleep(5 * time.Millisecond)
			if fails && i == 2 {
				return
			}
			wg.Done()
		}()
	}
	wg.Wait()
}
