// SPDX-License-Identifier: Apache-2.0

package capacity

import "time"

// backlog detects requests that queue for something other than CPU: more are in flight than
// their rate, their duration and the queue for CPU explain.
type backlog struct {
	run   int       // consecutive windows with a queue
	rate  float64   // the highest rate with a queue
	at    time.Time // the last window with a queue
	stuck bool
}

const (
	// A backlog is more than twice the explained number plus five.
	backlogFactor, backlogLeast = 2, 5
	// busy is the saturation from which on the CPU explains a queue of any length.
	busy = 0.85
	// backlogRun is how many consecutive windows make a backlog.
	backlogRun = 2
	// backlogMemory is how long such a limit is remembered, unless a higher load passes
	// without a queue.
	backlogMemory = time.Hour
)

// add reports whether requests queue in this window. typical is the duration of a request
// without a queue, NaN if unknown.
func (b *backlog) add(w *window, saturation, typical float64) (queues bool) {
	explained := max(w.rate*typical, w.cpu) / free(saturation) // NaN makes the comparison false
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

// limits reports whether something other than CPU is known to be the limit.
func (b *backlog) limits(w *window) bool {
	return b.stuck && w.end.Sub(b.at) <= backlogMemory
}
