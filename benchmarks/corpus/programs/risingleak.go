// SPDX-License-Identifier: Apache-2.0

package programs

import (
	"context"
	"time"

	"example.com/corpus/kit"
)

// risingLeak leaks in one of a hundred requests of a load that rises from 20 to 220
// a second.
func risingLeak() kit.Program {
	return kit.Program{Name: "rising-leak", Library: "net/http", Want: kit.Leak("GET /item", "programs.audit"), Run: func(w *kit.World) {
		n := 0
		go w.Arrivals(w.Ctx, kit.Shape{{0, 20}, {1, 220}}, func() {
			n++
			leaks := n%100 == 0
			go w.Root("GET /item", func(ctx context.Context) {
				time.Sleep(10 * time.Millisecond)
				if leaks {
					go audit(context.WithoutCancel(ctx), make(chan struct{}))
				}
			})
		})
	}}
}

func audit(ctx context.Context, written <-chan struct{}) {
	select {
	case <-ctx.Done():
	case <-written:
	}
}
