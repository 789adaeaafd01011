// SPDX-License-Identifier: Apache-2.0

package engine

import "time"

// tickClock compares the times at which a ticker's goroutine woke with the times at
// which it should have woken. It uses monotonic time: the wall clock may jump.
type tickClock struct {
	origin   time.Time
	interval time.Duration
	ticks    int64 // due so far
}

// wake takes the time of a wake-up. It returns how late the first tick due since the last
// wake-up is, and how many further ticks were missed.
func (c *tickClock) wake(now time.Time) (lateness time.Duration, missed uint64) {
	since := now.Sub(c.origin)
	next := c.ticks + 1
	lateness = max(0, since-time.Duration(next)*c.interval)
	c.ticks = max(next, int64(since/c.interval))
	return lateness, uint64(c.ticks - next)
}
