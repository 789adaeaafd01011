// SPDX-License-Identifier: Apache-2.0

package tracectx

import (
	"sync/atomic"
	"time"
)

// A clock counts whole seconds since the Processor was created, as of the last
// observation. Reading it takes one atomic load; time.Now takes 40 ns. It does not
// depend on the start times that spans report.
type clock struct {
	start     time.Time
	startWall int64 // start in Unix nanoseconds
	seconds   atomic.Int64
}

// set advances the clock to the time of an observation.
func (c *clock) set(now time.Time) {
	c.seconds.Store(int64(max(0, now.Sub(c.start)) / time.Second))
}

// second returns the seconds until the last observation. It is at most one tick late.
func (c *clock) second() uint32 { return uint32(c.seconds.Load()) }

// duration returns how long a span ran in this process. start and end are the times
// that the span reports, in Unix nanoseconds; born is the clock's second at which it
// began. A span may report a start time from before it began here, such as the time
// at which a message was sent. If the end time also lies before the span began,
// the reported times count.
func (c *clock) duration(start, end int64, born uint32) int64 {
	reported := end - start
	if here := end - c.startWall - int64(born)*int64(time.Second); here >= 0 {
		return min(reported, here)
	}
	return reported
}
