// SPDX-License-Identifier: Apache-2.0

package page

import "time"

// rowClock turns the times of snapshots into ascending times of rows, even if the wall
// clock is set back.
type rowClock struct {
	anchor   time.Time
	anchorMS int64     // Unix ms of anchor
	last     time.Time // of the last row
	lastMS   int64
}

// tick returns the time of a snapshot in Unix ms, and whether a row is due.
func (c *rowClock) tick(now time.Time, resolution time.Duration) (ms int64, due bool) {
	if c.anchor.IsZero() {
		c.anchor, c.anchorMS = now, now.UnixMilli()
	}
	ms = c.anchorMS + now.Sub(c.anchor).Milliseconds() // by the monotonic clock if now has it
	if now.UnixMilli() > ms+2000 {                     // the wall clock was set forward
		c.anchor, c.anchorMS = now, now.UnixMilli()
		ms = c.anchorMS
	}
	// The tick after a late one may come a little early.
	if !c.last.IsZero() && now.Sub(c.last) < resolution*9/10 || ms <= c.lastMS {
		return max(ms, c.lastMS), false
	}
	c.last, c.lastMS = now, ms
	return ms, true
}
