// SPDX-License-Identifier: Apache-2.0

package goroutines

import "slices"

// floodFactor is the size of a flood in units of minGrowth: 2,000 goroutines by default.
const floodFactor = 100

// A flood is a large group that appeared before its history showed a trend, and does not grow. Its
// members neither run nor end, but this also holds for the idle workers of a pool that was created
// at the start. The evidence against a pool is where the members wait, or that requests created
// them. Without such evidence a flood is not reported as a leak.

// isFlood reports whether to watch a group although it does not grow.
func (t *groupTracker) isFlood(g *Group) bool {
	return g.Count >= floodFactor*t.rules.minGrowth && (neverIdle(g.Class) || g.labelled())
}

// neverIdle reports whether goroutines of a wait class do not wait for work: they send, wait for a
// lock or for other goroutines, or wait forever.
func neverIdle(c WaitClass) bool {
	return c == ChanSend || c == SelectForever || c.family() == familyLock || c.family() == familyWaitGroup
}

// floodLeak reports whether a flood is a leak: no member ran or ended, and the members do not wait
// for work or were created by many requests.
func (c *classifier) floodLeak(sig *signature) bool {
	f := c.facts
	if !c.t.isFlood(c.g) || selfWaking(c.g) || f.recordings < enoughRecordings || !f.mature {
		return false
	}
	if f.activity.ran > 0 || f.silent < f.aged || f.cohort.gone() > 0 || 10*f.cohort.stayed < 9*f.aged || c.shrank() {
		return false
	}
	return neverIdle(c.g.Class) || !sig.background && c.byRequests()
}

// shrank reports whether the group had more members in the time in which its cohort matured.
func (c *classifier) shrank() bool {
	newest, minutes := c.h.levels[0].series(), c.h.levels[1].series()
	return max(slices.Max(newest), slices.Max(minutes[max(0, len(minutes)-3):])) > float64(c.g.Count)
}

// byRequests reports whether many requests created the members: at least half as many root spans of
// the members' names as there are members had ended when the group appeared, and more have ended
// since. A pool that one request creates appears when few requests have ended. The workers of a
// pool that grew with a burst of requests run when more requests come. Connections are created by
// requests too, so the number of accepted ones must be known, and groups that wait for a connection
// do not count.
func (c *classifier) byRequests() bool {
	if !c.g.labelled() || c.t.members.accepted < 0 || c.facts.io {
		return false
	}
	w := c.h.watch
	since := c.t.loadOf(c.g, c.in.spans) - w.ended
	return 2*w.ended >= float64(w.size) && since >= float64(c.t.rules.minGrowth)
}

// floodReason describes why the members of a flood are no idle workers.
func (c *classifier) floodReason() string {
	if neverIdle(c.g.Class) {
		return "goroutines in " + c.g.Class.String() + " are not idle workers"
	}
	return "requests created them, as many requests had ended as there are members"
}
