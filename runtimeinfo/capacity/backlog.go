// SPDX-License-Identifier: Apache-2.0

package capacity

import "time"

// backlog notices requests that queue for something other than CPU: many more
// are in flight than their rate, the time that one takes, and the queue for CPU
// explain.
type backlog struct {
	run   int       // windows in a row
	rate  float64   // the highest rate at which they queued
	at    time.Time // when they last did
	stuck bool
}

const (
	// A backlog is more than twice of what is explained, and more than a few.
	backlogFactor, backlogLeast = 2, 5
	// busy is from which saturation on the CPU explains a queue of any length.
	busy = 0.85
	// One window may be a hiccup.
	backlogRun = 2
	// backlogMemory is how long a limit that is not CPU is remembered, unless more
	// load than then passes without a queue.
	backlogMemory = time.Hour
)

// add tells whether requests queue in this window. typical is how long a request
// takes without a queue, NaN where unknown.
func (b *backlog) add(w *window, saturation, typical float64) (queues bool) {
	explained := max(w.rate*typical, w.cpu) / free(saturation) // NaN explains nothing and everything
	queues = saturation < busy && w.active > backlogFactor*explained+backlogLeast
	if !queues {
		b.run = 0
		if passed := w.rate > 1.1*b.rate; passed || w.end.Sub(b.at) > backlogMemory {
			*b = backlog{}
		}
		return false
	}
	b.run++
	if b.run >= backlogRun {
		b.stuck = true
	}
	b.rate, b.at = max(b.rate, w.rate), w.end
	return true
}

// stands tells whether the limit is known to be something other than CPU.
func (b *backlog) stands(w *window) bool {
	return b.stuck && w.end.Sub(b.at) <= backlogMemory
}
