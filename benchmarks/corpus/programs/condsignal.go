// SPDX-License-Identifier: Apache-2.0

package programs

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"example.com/corpus/kit"
)

// condMissed imitates the lost wake-ups that the documentation of sync.Cond.Wait warns
// of: Signal comes before the waiter waits, and the waiter does not look at the
// condition first.
func condMissed() kit.Program {
	return kit.Program{Name: "cond-missed-signal", Library: "sync", Want: kit.Leak("POST /flush", "programs.(*flush).report"), Run: func(w *kit.World) {
		w.ServeRoute("POST /flush", 4, func(context.Context) {
			f := &flush{}
			f.done = sync.NewCond(&f.mu)
			go f.write()
			go f.report()
		})
	}}
}

type flush struct {
	mu   sync.Mutex
	done *sync.Cond
}

func (f *flush) write() {
	time.Sleep(time.Duration(rand.IntN(8)) * time.Millisecond)
	f.done.Signal()
}

func (f *flush) report() {
	time.Sleep(3 * time.Millisecond) // opens a log
	f.mu.Lock()
	defer f.mu.Unlock()
	f.done.Wait()
}
