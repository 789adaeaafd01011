// SPDX-License-Identifier: Apache-2.0

package programs

import (
	"context"
	"time"

	"example.com/corpus/kit"
)

// chanSend imitates figure 1 of "Understanding Real-World Concurrency Bugs in Go" (Tu
// et al., from kubernetes/kubernetes#5316): the receiver gives up, and the channel has
// no buffer.
func chanSend() kit.Program {
	return kit.Program{Name: "chan-early-return", Library: "the language", Want: kit.Leak("GET /finish", "programs.finishRequest"), Run: func(w *kit.World) {
		w.ServeRoute("GET /finish", 4, func(context.Context) { finishRequest(2 * time.Millisecond) })
	}}
}

func finishRequest(timeout time.Duration) {
	result := make(chan int)
	go func() {
		time.Sleep(8 * time.Millisecond)
		result <- 1
	}()
	select {
	case <-result:
	case <-time.After(timeout):
	}
}
