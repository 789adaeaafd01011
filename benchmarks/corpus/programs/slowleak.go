// SPDX-License-Identifier: Apache-2.0

package programs

import (
	"context"
	"time"

	"example.com/corpus/kit"
)

// slowLeak leaks six goroutines a minute below 200 requests a second, which a trend
// test misses for long. The pattern is the early return of "Concurrency in Go":
// after a timeout no goroutine receives.
func slowLeak() kit.Program {
	return kit.Program{Name: "slow-leak", Library: "net/http", Long: true, Want: kit.Leak("GET /rare", "programs.computeRare"), Run: func(w *kit.World) {
		w.Load(kit.Constant(200), func() { w.Root("GET /", func(context.Context) { time.Sleep(5 * time.Millisecond) }) })
		w.Load(kit.Constant(0.1), func() {
			w.Root("GET /rare", func(context.Context) {
				result := make(chan int)
				go computeRare(result)
				select {
				case <-result:
				case <-time.After(time.Millisecond):
				}
			})
		})
	}}
}

func computeRare(result chan<- int) {
	time.Sleep(10 * time.Millisecond)
	result <- 1
}
