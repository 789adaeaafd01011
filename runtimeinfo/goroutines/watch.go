// SPDX-License-Identifier: Apache-2.0

package goroutines

import "time"

const (
	// A group is watched once it has minWatched members and its floor rose by minRise.
	minWatched, minRise = 10, 5
	// Recordings of watched groups begin so many slots apart while it is not known
	// what they are, and up to maxApart where it is.
	recordingSlots, maxApart = 5, 120
	// A cohort matures when its members have reached ageSlots and were watched for
	// watchSlots since: with slots of 5 s, 60 s and 80 s. Retries and sessions of two
	// minutes have ended by then.
	ageSlots, watchSlots = 12, 16
	// loopSlots is the same for members that wake themselves: 4 minutes each.
	loopSlots = 48
	// minCohort is the size of a cohort that tells something.
	minCohort = 8
	// quickSlots is the same where the memory lasts for a few minutes only: 30 s each.
	quickSlots = 6
	// recentLooks is how many recordings tell whether a group is active.
	recentLooks = 8
)

// watch is what is known of a suspicious group.
type watch struct {
	since time.Duration // when the watch began
	size  int           // members then
	next  time.Duration // when a recording is due
	facts facts
}

// facts are what recordings show of a group.
type facts struct {
	looks    int           // recordings that saw members older than themselves
	length   time.Duration // of those, in all
	activity look          // sums over the newest of them

	sampled      bool          // the counts are of a sample of the members
	aged, silent int           // members of ageSlots or more; those that never ran in a recording
	cohort                     // that matured
	age          time.Duration // that all who stayed have reached
	mature       bool          // the cohort is large enough, and nearly none of it left
	quick        bool          // dozens stayed for a minute and none ran or left
	gone, before int           // members that ended between the last two recordings
	pace         float64       // of joining, recent against all; NaN if unknown

	// The same for members that run, by themselves: those that were watched for
	// loopSlots after they had reached that age.
	loops    cohort
	loopPace float64
	settled  cohort  // those that were watched as long as a leak is
	perSpan  float64 // how many join for each root span that ends, 0 if unknown

	line     Site // the application's line that creates members
	creation []Site
	sibling  *Key // a group made together with this one whose members are active
	sessions bool // members come and go with accepted connections
	io       bool // the group or one made together with it waits for a connection
	reader   bool // one made together with it does
}

// active reports whether members are put to work from outside.
func (f *facts) active() bool {
	a := &f.activity
	return f.looks > 0 && a.old >= 5 && (10*a.used >= a.old || 3*(a.ran-a.timed) >= a.old)
}

// silentGroup reports whether members practically never run.
func (f *facts) silentGroup() bool {
	a := &f.activity
	return f.looks > 0 && a.old > 0 && 50*a.ran <= a.old
}

// loops reports whether members run, woken by their own timers.
func (f *facts) loop() bool {
	return f.looks > 0 && !f.active() && 10*f.activity.ran >= f.activity.old
}

// comesAndGoes reports whether a good part of the members ended between recordings.
func (f *facts) comesAndGoes() bool { return f.before >= 5 && 5*f.gone >= f.before }

// watchGroup begins to watch a group that is suspicious.
func (t *groupTracker) watchGroup(g *Group, tr *track, in *circumstances) {
	if tr.watch == nil {
		tr.watch = &watch{since: in.at, size: g.Count, next: in.at}
	}
}

// suspicious reports whether a group is worth recordings.
func (t *groupTracker) suspicious(g *Group, tr *track) bool {
	if g.Count < minWatched {
		return false
	}
	return tr.rising(minRise) || g.Count >= t.rules.minGrowth && handlesRequest(g)
}

// wantsRecording reports whether a recording is due for some group.
func (t *groupTracker) wantsRecording() bool {
	now := t.last.at
	for key, tr := range t.tracks {
		if tr.watch != nil && tr.watch.next <= now && t.present[key] != nil {
			return true
		}
	}
	return false
}

// record takes a recording and the number of connections that the process has
// accepted; accepted is below zero where that is not known.
func (t *groupTracker) record(r *Recording, accepted int) {
	at := r.Start.Sub(t.start)
	t.members.add(r, at, &t.program)
	t.accepted = appendBounded(t.accepted, socketCount{at, accepted}, keptLooks)
	families := t.families()
	for key, tr := range t.tracks {
		g := t.present[key]
		m := t.members.groups[key.plain()]
		if g == nil || m == nil || len(m.looks) == 0 {
			continue
		}
		m.looks[len(m.looks)-1].load = t.loadOf(g)
		if tr.watch != nil {
			tr.watch.facts = t.factsOf(m, g, families)
			tr.watch.schedule(t, key, m)
		}
	}
}

// factsOf sums up what recordings show of a group.
func (t *groupTracker) factsOf(m *members, g *Group, fs *families) (f facts) {
	now := t.members.last
	f.activity, f.looks = m.activity(recentLooks)
	f.length = f.activity.length
	f.sampled = m.every > 1
	f.aged, f.silent = m.aged(now, t.rules.slots(ageSlots))
	f.gone, f.before = m.ended()
	f.cohort, f.age, f.mature = t.maturity(m, now)
	q := m.survival(now, t.rules.slots(quickSlots), t.rules.slots(quickSlots), false)
	f.quick = q.stayed >= t.rules.minGrowth && q.left+q.maybe == 0
	f.pace = m.pace(g.labelled(), false)
	f.loops = m.survival(now, t.rules.slots(loopSlots), t.rules.slots(loopSlots), true)
	f.loopPace = m.pace(g.labelled(), true)
	f.settled = m.survival(now, t.rules.slots(ageSlots), t.rules.slots(watchSlots), true)
	if g.labelled() {
		f.perSpan = m.perLoad()
	}
	f.line, f.creation = m.line(), m.creation
	f.io = g.Class == IO
	for _, k := range fs.related(g.plain(), m, g) {
		if sig, ok := recognise(t.known, &Group{Key: k}); ok && sig.kind == Connections {
			continue // the server's own
		}
		s := t.members.groups[k]
		if a, n := s.activity(recentLooks); n > 0 && a.old >= 5 && 10*a.used >= a.old && f.sibling == nil {
			f.sibling = &k
		}
		f.io, f.reader = f.io || k.Class == IO, f.reader || k.Class == IO
	}
	f.sessions = t.sessions(m)
	return f
}

// maturity looks for an age beyond which no member ends: the first of ageSlots, twice
// that and so on that a large enough cohort has reached, of which nearly none left while
// it was watched for as long again, or watchSlots at least.
func (t *groupTracker) maturity(m *members, now time.Duration) (c cohort, age time.Duration, ok bool) {
	const few = 50 // one in so many may leave
	for slots := ageSlots; ; slots *= 2 {
		age = t.rules.slots(slots)
		while := t.rules.slots(max(watchSlots, slots))
		c = m.survival(now, age, while, false)
		age += while
		switch {
		case c.stayed < minCohort:
			return c, age, false
		case few*(c.left+c.maybe) <= c.stayed:
			return c, age, true
		}
	}
}

// loadOf returns a cumulative measure of the load that makes members of a group: the
// root spans that ended of the names that members were created under.
func (t *groupTracker) loadOf(g *Group) (ended float64) {
	if t.origins == nil {
		return 0
	}
	names := map[string]bool{}
	for _, b := range g.Births {
		if b.Root == "" {
			continue
		}
		o := t.bornAt(b.Root, b.Epoch)
		if len(o.Names) == 0 {
			names[b.Root] = true
		}
		for _, name := range o.Names {
			names[name] = true
		}
		for _, n := range o.Ended {
			names[n.Name] = true
		}
	}
	for name := range names {
		ended += float64(t.last.spans[name].Ended)
	}
	return ended
}

// sessions reports whether the process has accepted as many connections as the group
// has members, and about as many since the group was first recorded as members joined.
func (t *groupTracker) sessions(m *members) bool {
	n := len(t.accepted)
	if n == 0 || t.accepted[n-1].n < 0 || len(m.looks) == 0 {
		return false
	}
	now, first := t.accepted[n-1].n, t.accepted[0].n
	began := m.since
	for _, a := range t.accepted {
		if a.at <= began {
			first = a.n
		}
	}
	joined := m.count - m.looks[0].size
	return 4*now >= 3*m.count && 5*(now-first) >= 3*joined
}

// socketsKnown reports whether accepted connections could be counted.
func (t *groupTracker) socketsKnown() bool {
	n := len(t.accepted)
	return n > 0 && t.accepted[n-1].n >= 0
}

// schedule sets when the next recording of the group is due: soon while the group is not
// classified, later once it is.
func (w *watch) schedule(t *groupTracker, key Key, m *members) {
	const jitter = 7 // slots of 30: recordings must not keep step with what they look at
	now := m.looks[len(m.looks)-1].at
	apart := recordingSlots + float64(t.members.recordings*5%jitter)/jitter*2 - 1
	o := t.open[key]
	settled := o != nil && o.Kind.Suspect() || w.facts.active()
	if watched := now - w.since; settled || watched > t.rules.slots(maxApart) {
		apart = min(maxApart, max(apart, float64(watched/t.rules.slot)/4))
	}
	if w.facts.comesAndGoes() { // further apart it would not be known at what age members end
		apart = min(apart, ageSlots-2)
	}
	w.next = now + time.Duration(apart*float64(t.rules.slot))
	if matures := m.since + t.rules.slots(ageSlots+watchSlots-1); matures > now && matures < w.next {
		w.next = matures // a recording lasts a slot: by its end they are old enough
	}
}
