// SPDX-License-Identifier: Apache-2.0

package tracectx

import (
	"sync/atomic"
	"time"
)

// A clock is the coarse time of a [Processor]: whole seconds since it was made, as of
// the last observation. Reading it costs one load, where time.Now costs 40 ns. It is
// the processor's own: what start time a span claims does not matter to it.
type clock struct {
	start     time.Time
	startWall int64 // start in nanoseconds since 1970
	seconds   atomic.Int64
}

// set takes over the time of an observation.
func (c *clock) set(now time.Time) {
	c.seconds.Store(int64(max(0, now.Sub(c.start)) / time.Second))
}

// second returns the seconds from the making of the Processor to its last
// observation: at most one tick before now.
func (c *clock) second() uint32 { return uint32(c.seconds.Load()) }

// took returns how long a span took in this process, by the times it claims and by
// the second in which it was seen to begin. A span that claims to have begun before
// that, a message's for instance, did not run here meanwhile.
func (c *clock) took(start, end int64, born uint32) int64 {
	claimed := end - start
	if here := end - c.startWall - int64(born)*int64(time.Second); here >= 0 {
		return min(claimed, here)
	}
	return claimed // its end lies in the past too: it tells of something else
}
