// SPDX-License-Identifier: Apache-2.0

package goroutines

import "time"

// facts are what recordings show of a group.
type facts struct {
	at         time.Duration // end of the newest recording
	recordings int           // with members that existed before
	length     time.Duration // of these recordings in total
	activity   observation   // sum over the newest of them

	sampled      bool          // the counts are of a sample of the members
	aged, silent int           // members of ageSlots or more; how many never ran
	cohort       cohort        // the oldest members that never ran
	age          time.Duration // of all in the cohort
	mature       bool          // the cohort is large enough, and almost none of it ended
	wait         time.Duration // age that members must reach in addition, because others ended late; 0: none
	waited       bool          // enough have reached it
	longest      time.Duration // age at which members were seen to end
	quick        bool          // dozens stayed for a minute and none ran or ended
	gone, before int           // members that ended between the last two recordings; all before
	pace         float64       // of joining, recent compared with all; NaN if unknown

	// The following count members that ran too.
	loops    cohort  // observed for loopSlots after that age
	settled  cohort  // observed as long as a silent cohort
	loopPace float64 // as pace
	perSpan  float64 // members that join for each root span that ends, 0 if unknown
	load     float64 // root spans per second in the newest interval, compared with all; 0 if unknown
	ended    int     // members that ended, at whatever age, in all kept observations

	line     Site // the application's line that creates members
	creation []Site
	sibling  *Key // a group created together with this one whose members are active
	sessions bool // members come and go with accepted connections
	io       bool // the group, or one created together with it, waits for a connection
	reader   bool // a group created together with it does
}

// active reports whether the network or other goroutines make members run.
func (f *facts) active() bool {
	a := &f.activity
	return f.recordings > 0 && a.old >= 5 && (10*a.woken >= a.old || 3*(a.ran-a.timed) >= a.old)
}

// silentGroup reports whether members practically never run.
func (f *facts) silentGroup() bool {
	a := &f.activity
	return f.recordings > 0 && a.old > 0 && 50*a.ran <= a.old
}

// loop reports whether members run, woken by their own timers.
func (f *facts) loop() bool {
	return f.recordings > 0 && !f.active() && 10*f.activity.ran >= f.activity.old
}

// turnsOver reports whether at least a fifth of the members ended between recordings.
func (f *facts) turnsOver() bool { return f.before >= 5 && 5*f.gone >= f.before }

// factsOf returns what recordings show of a group.
func (t *groupTracker) factsOf(m *members, g *Group, r *relations) (f facts) {
	now := t.members.last
	f.at = now
	f.activity, f.recordings = m.activity(recentRecordings)
	f.length = f.activity.length
	f.sampled = m.every > 1
	f.aged, f.silent, _ = m.aged(now, t.rules.slots(ageSlots))
	if n := len(m.observations); n > 1 {
		newest := &m.observations[n-1]
		f.gone, f.before = newest.gone, newest.gone+newest.old
	}
	f.cohort, f.age, f.mature = t.maturity(m, now)
	f.longest = m.longest()
	f.wait, f.waited = t.patience(m, now)
	if f.wait > f.age && f.waited {
		f.cohort, f.age = m.survival(now, f.wait/2, f.wait/2, false), f.wait
	}
	q := m.survival(now, t.rules.slots(quickSlots), t.rules.slots(quickSlots), false)
	f.quick = q.stayed >= t.rules.minGrowth && q.gone() == 0
	f.loops = m.survival(now, t.rules.slots(loopSlots), t.rules.slots(loopSlots), true)
	f.settled = m.survival(now, t.rules.slots(ageSlots), t.rules.slots(watchSlots), true)
	f.pace, f.loopPace = m.pace(g.labelled(), false), m.pace(g.labelled(), true)
	if g.labelled() {
		f.perSpan, f.load = m.perLoad(), m.recentLoad()
	}
	for i := range m.observations {
		f.ended += m.observations[i].gone
	}
	f.line, f.creation = m.line(), m.creation
	f.io = onConnection(g)
	for _, k := range r.related(g.traceKey(), m, g) {
		if sig, ok := signatureOf(t.hints.signatures, &Group{Key: k}); ok && sig.kind == Connections {
			continue // a goroutine of the server
		}
		if f.sibling == nil && t.members.groups[k].works(now, t.rules.slots(ageSlots)) {
			f.sibling = &k
		}
		f.reader = f.reader || r.onConnection(k)
	}
	f.io = f.io || f.reader
	f.sessions = t.isSessions(m, g, r)
	return f
}

// fewEnd is how many members of a cohort must stay for each that ends.
const fewEnd = 50

// maturity looks for an age beyond which almost no member ends. It tries ageSlots, twice that
// and so on, as long as a large enough cohort has reached the age and was observed for as long
// again, at least watchSlots.
func (t *groupTracker) maturity(m *members, now time.Duration) (c cohort, age time.Duration, ok bool) {
	for n := ageSlots; ; n *= 2 {
		age = t.rules.slots(n)
		period := t.rules.slots(max(watchSlots, n))
		c = m.survival(now, age, period, false)
		age += period
		if c.stayed < minCohort {
			return c, age, false
		}
		if fewEnd*c.gone() <= c.stayed {
			return c, age, true
		}
	}
}

// patience returns the age that members must reach, if others were seen to end after long waits,
// and whether a large enough cohort has reached it of which almost none ended.
func (t *groupTracker) patience(m *members, now time.Duration) (age time.Duration, ok bool) {
	longest := m.longest()
	if longest == 0 {
		return 0, true
	}
	age = min(patience*longest, t.rules.slots(maxPatience))
	c := m.survival(now, age/2, age/2, false)
	return age, c.stayed >= minCohort && fewEnd*c.gone() <= c.stayed
}
