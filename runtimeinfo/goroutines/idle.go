// SPDX-License-Identifier: Apache-2.0

package goroutines

import (
	"slices"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

const (
	// idleSlots is the longest time between surveys of an idle process.
	idleSlots = 12
	// idleShare is the share of one core below which a process is idle. The agent needs about
	// a tenth of it.
	idleShare = 0.005
)

// activity describes the process at a survey. A survey of an idle process would find what the last
// one has found.
type activity struct {
	at         time.Time // zero before the first survey
	goroutines int
	cpu        time.Duration // of the process; 0 if the system does not report it
}

// idleSince reports whether less than limit has passed since before, the number of goroutines is
// the same, and the process has used almost no CPU time.
func (a activity) idleSince(before activity, limit time.Duration) bool {
	passed := a.at.Sub(before.at)
	return !before.at.IsZero() && passed < limit && a.goroutines == before.goroutines &&
		before.cpu > 0 && (a.cpu-before.cpu).Seconds() < idleShare*passed.Seconds()
}

// spansActive reports whether a root span is active, or whether that is unknown.
func spansActive(s *runtimeinfo.Snapshot) bool {
	return s == nil || slices.ContainsFunc(s.SpanGroups, func(g runtimeinfo.SpanGroup) bool { return g.Active > 0 })
}
