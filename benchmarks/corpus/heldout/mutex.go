// SPDX-License-Identifier: Apache-2.0

package heldout

import (
	"context"
	"sync"
	"time"

	"example.com/corpus/kit"
)

// mutexHeld imitates the early return without Unlock of many reports (cockroachdb's in
// goker, for example): after 40 s the lock is held for ever, and every handler hangs.
func mutexHeld() kit.Program {
	return kit.Program{Name: "mutex-held", Library: "sync", Want: kit.Hang("GET /stock", "heldout.(*stock).reserve"), Run: func(w *kit.World) {
		var s stock
		w.ServeRoute("GET /stock", 6, func(context.Context) { s.reserve(time.Since(w.Start) > 40*time.Second) })
	}}
}

type stock struct {
	mu   sync.Mutex
	left int
}

func (s *stock) reserve(fails bool) {
	s.mu.Lock()
	s.left--
	if fails {
		return
	}
	s.mu.Unlock()
}
