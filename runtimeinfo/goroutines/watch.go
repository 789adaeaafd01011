// SPDX-License-Identifier: Apache-2.0

package goroutines

import "time"

const (
	// A group is watched once it has minWatched members and its floor rose by minRise.
	minWatched, minRise = 10, 5
	// apartSlots is the number of slots between the recordings of a watched group while its
	// verdict is open, and maxApart the maximum later.
	apartSlots, maxApart = 5, 120
	// A cohort is mature when its members have reached an age of ageSlots and were observed for
	// watchSlots since: with slots of 5 s, 60 s and 80 s. Retries and sessions of two minutes
	// have ended by then.
	ageSlots, watchSlots = 12, 16
	// If members ended late, after at least lateSlots, others leak only at patience times the
	// greatest age of those, or after maxPatience slots: 20 s, six times, and 10 minutes.
	lateSlots, patience, maxPatience = 4, 6, 120
	// loopSlots replaces both for members that wake themselves: 4 minutes each.
	loopSlots = 48
	// quickSlots replaces both if the memory lasts for a few minutes only: 30 s each.
	quickSlots = 6
	// minCohort is the size from which a cohort is conclusive.
	minCohort = 8
	// recentRecordings is the number of recordings that show whether a group is active.
	recentRecordings = 8
)

// watch is the state of a suspicious group, which is recorded repeatedly.
type watch struct {
	since time.Duration // when the watch began
	size  int           // members then
	ended float64       // root spans of the members' names that had ended then
	next  time.Duration // when a recording is due
	facts facts
}

// suspicious reports whether to watch a group.
func (t *groupTracker) suspicious(g *Group, h *history) bool {
	return g.Count >= minWatched && (h.rising(minRise) || g.Count >= t.rules.minGrowth && handlesRequest(g) || t.isFlood(g))
}

// anyWatched reports whether some watched group has a property.
func (t *groupTracker) anyWatched(has func(Key, *watch) bool) bool {
	for key, h := range t.histories {
		if h.watch != nil && has(key, h.watch) {
			return true
		}
	}
	return false
}

// wantsRecording reports whether a recording of some group is due.
func (t *groupTracker) wantsRecording(now time.Time) bool {
	at := now.Sub(t.start)
	return t.anyWatched(func(key Key, w *watch) bool { return w.next <= at && t.present[key] != nil })
}

// record adds a recording and the number of accepted connections, which is negative if unknown.
func (t *groupTracker) record(r *Recording, accepted int) {
	at := r.Start.Sub(t.start)
	t.members.accepted = accepted
	t.members.add(r, at, &t.hints.program)
	related := t.relations()
	for key, h := range t.histories {
		g := t.present[key]
		m := t.members.groups[key.traceKey()]
		if g == nil || m == nil || len(m.observations) == 0 {
			continue
		}
		m.observations[len(m.observations)-1].load = t.loadOf(g, t.last.spans)
		if h.watch != nil {
			h.watch.facts = t.factsOf(m, g, related)
			h.watch.schedule(t, key, m)
		}
	}
}

// schedule sets when the next recording of the group is due: soon while the verdict is open,
// later otherwise.
func (w *watch) schedule(t *groupTracker, key Key, m *members) {
	const jitter = 7 // so that recordings do not keep step with periodic work
	last := &m.observations[len(m.observations)-1]
	now := last.at
	apart := apartSlots + float64(t.members.recordings*5%jitter)/jitter*2 - 1
	o := t.open[key]
	decided := o != nil && o.Kind.Suspect() || w.facts.active()
	if watched := now - w.since; decided || watched > t.rules.slots(maxApart) {
		apart = min(maxApart, max(apart, float64(watched/t.rules.slot)/4))
	}
	if w.facts.active() && w.facts.perSpan >= 0.5 && now-w.since <= t.rules.slots(maxApart) { // it may accumulate
		apart = min(apart, 2*apartSlots)
	}
	if w.facts.turnsOver() { // more time would hide at what age members end
		apart = min(apart, ageSlots-2)
	}
	w.next = now + time.Duration(apart*float64(t.rules.slot))
	// At the end of the next recording the first cohort must be mature, even if that recording is
	// somewhat shorter than the last.
	if matures := m.since + t.rules.slots(ageSlots+watchSlots) - 3*last.length/4; matures > now && matures < w.next {
		w.next = matures
	}
}

// settled reports whether no group is watched or reported.
func (t *groupTracker) settled() bool {
	return len(t.open) == 0 && !t.anyWatched(func(Key, *watch) bool { return true })
}

// undecided reports whether the verdict on some watched group is not final.
func (t *groupTracker) undecided() bool {
	return t.anyWatched(func(key Key, _ *watch) bool {
		o := t.open[key]
		return o != nil && (o.Kind == Growing || o.Kind == Burst)
	})
}

// wantsLeakProfile reports whether a leak profile can help: members of some group did not run
// during two recordings, and nothing else explains the group.
func (t *groupTracker) wantsLeakProfile() bool {
	return t.anyWatched(func(key Key, w *watch) bool {
		g, f := t.present[key], &w.facts
		return g != nil && g.Count >= t.rules.minGrowth && f.recordings >= 2 && f.silentGroup() && !f.sessions && !f.turnsOver() && f.sibling == nil
	})
}
