// SPDX-License-Identifier: Apache-2.0

package programs

import (
	"context"
	"sync"
	"time"

	"example.com/corpus/kit"
	"github.com/robfig/cron/v3"
)

// cronBurst imitates robfig/cron#329: a job fans out to 500 goroutines for twelve
// seconds every 35 s.
func cronBurst() kit.Program {
	return kit.Program{Name: "cron-burst", Library: "robfig/cron/v3", Run: func(w *kit.World) {
		c := cron.New(cron.WithSeconds())
		_, err := c.AddFunc("@every 35s", func() {
			if w.X() < 0.8 {
				w.Root("cron.sync", func(context.Context) { fanOut(500, 12*time.Second) })
			}
		})
		kit.Must(err)
		c.Start()
		w.Load(kit.Wave(10), func() { w.Root("GET /", func(context.Context) { time.Sleep(3 * time.Millisecond) }) })
	}}
}

func fanOut(n int, d time.Duration) {
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() { time.Sleep(d) })
	}
	wg.Wait()
}
