// SPDX-License-Identifier: Apache-2.0

package engine

import "time"

// metronome compares the moments at which a ticker's goroutine woke with the
// moments at which it should have. Monotonic time: the wall clock may jump.
type metronome struct {
	origin   time.Time
	interval time.Duration
	beats    int64 // due so far
}

// arrive takes the moment of a wake-up. lateness is the time since the first
// beat that it answers, missed how many further ones it answers too.
func (m *metronome) arrive(now time.Time) (lateness time.Duration, missed uint64) {
	since := now.Sub(m.origin)
	next := m.beats + 1
	lateness = max(0, since-time.Duration(next)*m.interval)
	m.beats = max(next, int64(since/m.interval))
	return lateness, uint64(m.beats - next)
}
