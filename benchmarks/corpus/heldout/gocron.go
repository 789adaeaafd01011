// SPDX-License-Identifier: Apache-2.0

package heldout

import (
	"sync"
	"time"

	"example.com/corpus/kit"
	"github.com/go-co-op/gocron/v2"
)

// gocronJobs imitates go-co-op/gocron#439, without spans: 150 jobs, of which each
// runs for 20 s once a minute, at times of their own, and a batch of 500 in between.
func gocronJobs() kit.Program {
	return kit.Program{Name: "gocron-jobs", Library: "go-co-op/gocron/v2", Spans: kit.None, Run: func(w *kit.World) {
		s, err := gocron.NewScheduler()
		kit.Must(err)
		for i := range 150 {
			_, err := s.NewJob(gocron.DurationJob(time.Minute), gocron.NewTask(func() { mirror(w) }),
				gocron.WithStartAt(gocron.WithStartDateTime(time.Now().Add(time.Duration(i+5)*400*time.Millisecond))))
			kit.Must(err)
		}
		_, err = s.NewJob(gocron.DurationJob(80*time.Second), gocron.NewTask(func() { archiveAll(w) }))
		kit.Must(err)
		s.Start()
	}}
}

// mirror does nothing in the last fifth of the run, nor does archiveAll.
func mirror(w *kit.World) {
	if w.X() < 0.8 {
		time.Sleep(20 * time.Second)
	}
}

func archiveAll(w *kit.World) {
	if w.X() > 0.8 {
		return
	}
	var wg sync.WaitGroup
	for range 500 {
		wg.Go(func() { time.Sleep(15 * time.Second) })
	}
	wg.Wait()
}
