// SPDX-License-Identifier: Apache-2.0

package page

import "time"

// clock makes times that ascend of snapshots' times, whatever the wall clock does.
type clock struct {
	anchor, last time.Time
	wall         int64 // Unix ms of anchor
	ms           int64 // of the last row
}

// tick returns the time of a snapshot, and whether a row is due.
func (c *clock) tick(now time.Time, resolution time.Duration) (ms int64, due bool) {
	if c.anchor.IsZero() {
		c.anchor, c.wall = now, now.UnixMilli()
	}
	ms = c.wall + now.Sub(c.anchor).Milliseconds() // monotonic where now is
	if now.UnixMilli() > ms+2000 {                 // the wall clock was set forward
		c.anchor, c.wall = now, now.UnixMilli()
		ms = c.wall
	}
	// A tick may come a little early after one that came late.
	if !c.last.IsZero() && now.Sub(c.last) < resolution*9/10 || ms <= c.ms {
		return max(ms, c.ms), false
	}
	c.last, c.ms = now, ms
	return ms, true
}
