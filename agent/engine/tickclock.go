// SPDX-License-Identifier: Apache-2.0

package engine

import "time"

// tickClock measures how late the goroutine of a ticker wakes. It uses monotonic time, because
// the wall clock may jump.
type tickClock struct {
	origin   time.Time
	interval time.Duration
	ticks    int64 // number of ticks that were due at the last wake-up
}

// wake is called with the time of each wake-up. It returns the lateness of the first tick since
// the last wake-up, and the number of further ticks that were due.
func (c *tickClock) wake(now time.Time) (lateness time.Duration, missed uint64) {
	since := now.Sub(c.origin)
	next := c.ticks + 1
	lateness = max(0, since-time.Duration(next)*c.interval)
	c.ticks = max(next, int64(since/c.interval))
	return lateness, uint64(c.ticks - next)
}
