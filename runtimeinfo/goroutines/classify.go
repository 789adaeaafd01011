// SPDX-License-Identifier: Apache-2.0

package goroutines

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// classifier derives the verdict on one group at one survey.
type classifier struct {
	t   *groupTracker
	g   *Group
	h   *history
	in  *circumstances
	v   *Verdict
	was Kind // the open verdict, "" for none

	labels labelFacts
	facts  *facts
	// closing is why the open alarm is closed if this survey finds no other, or "".
	closing string
	busy    bool // a leak although members work
}

// decide sets the kind and the evidence of the verdict. "" means no verdict.
func (c *classifier) decide() {
	sig, _ := signatureOf(c.t.hints.signatures, c.g)
	c.labels = c.t.labelFactsOf(c.g, c.in)
	v := c.v
	v.Roots, v.Ages, v.Old = c.labels.roots, c.labels.ages, c.labels.old
	if v.Leaked = c.in.leaked(c.g.Key); v.Leaked > 0 {
		v.Kind = LeakProven
		v.Evidence = fmt.Sprintf("two runs of the garbage collector found that nothing can wake %d of them", v.Leaked)
	}
	if sig.kind == Connections && v.Kind == "" {
		if c.h.rising(float64(c.t.rules.minGrowth)) {
			v.Kind, v.Evidence, v.Roots = Connections, "one for each connection of a client", nil
			v.Where = c.g.Site
		}
		return
	}
	c.watch()
	if v.Kind == "" {
		v.Kind, v.Evidence = c.classify(&sig)
	}
	if v.Kind != "" {
		if !handlesRequest(c.g) { // handlers are created by the accept loop of the server
			v.Creation = c.facts.line
		}
		v.Where = c.t.hints.program.where(c.g.Stack, c.facts.creation)
		v.creation = c.facts.creation
	}
}

// watch begins or ends the watch of the group, and sets facts.
func (c *classifier) watch() {
	t, h := c.t, c.h
	name, _ := c.halted(watchHaltedSlots)
	halted := name != "" && c.g.Count >= minHalted
	inFlight := halted || c.labels.old >= t.rules.minGrowth && c.inFlight()
	switch {
	case h.watch == nil && (t.suspicious(c.g, h) || inFlight):
		h.watch = &watch{since: c.in.at, size: c.g.Count, ended: t.loadOf(c.g, c.in.spans), next: c.in.at}
	case h.watch != nil && c.g.Count < minWatched && !halted:
		h.watch = nil
	}
	c.facts = &facts{}
	if h.watch != nil {
		c.facts = &h.watch.facts
		c.v.Old = max(c.v.Old, c.facts.aged)
	}
}

// classify returns the kind and the evidence.
func (c *classifier) classify(sig *signature) (Kind, string) {
	if c.was.Suspect() {
		if c.closing = c.refuted(); c.closing == "" {
			return c.confirm()
		}
	}
	if handlesRequest(c.g) || !sig.background && c.inFlight() {
		return c.classifyInFlight()
	}
	if c.h.watch == nil {
		return c.classifyBurst()
	}
	f := c.facts
	switch {
	case c.busyLeak():
		c.busy = true
		return Leak, c.accumulation()
	case f.active() || f.sibling != nil:
		return c.classifyActive()
	case f.sessions:
		return c.growing(Connections, fmt.Sprintf("their number follows the connections that the process has accepted, %d now", c.t.members.accepted))
	case f.io && c.t.members.accepted < 0 && f.recordings > 0:
		return c.growing(Connections, "they wait for a connection, or were created together with goroutines that do")
	case c.silentLeak():
		return Leak, c.silence()
	case c.loopLeak():
		return Leak, c.loop()
	case c.floodLeak(sig):
		return Leak, c.silence()
	case f.turnsOver():
		return c.classifyTurnover()
	}
	return c.classifyUnknown()
}

const (
	// enoughRecordings is the number of recordings that must show that members do not run.
	enoughRecordings = 4
	// minPace is the pace of joining from which a group still grows, compared with its mean.
	minPace = 0.6
)

// silentLeak reports whether the group grows, and its members neither run nor end.
func (c *classifier) silentLeak() bool {
	f := c.facts
	if !f.silentGroup() || 10*f.silent < 9*f.aged || c.g.Count < c.t.rules.minGrowth || selfWaking(c.g) {
		return false
	}
	return f.recordings >= enoughRecordings && f.mature && f.waited && f.pace >= minPace || f.recordings >= 2 && f.quick && c.endangers()
}

// endangers reports whether the stacks of the group will use up the memory within minutes.
func (c *classifier) endangers() bool {
	return c.v.ToLimit > 0 && c.v.ToLimit < c.t.rules.slots(60)
}

// loopLeak reports whether members that wake themselves accumulate: practically each root span
// leaves one, or they join at a constant pace for minutes.
func (c *classifier) loopLeak() bool {
	const (
		crowd  = 50
		length = 96 // slots: 8 minutes
		steady = 0.85
	)
	f := c.facts
	a := &f.activity
	if f.recordings < enoughRecordings || f.active() || 50*(a.ran-a.timed) > a.old || c.g.Count < crowd || !(f.loopPace >= steady) {
		return false
	}
	stay := func(x cohort) bool { return x.stayed >= crowd && x.gone() == 0 }
	return f.perSpan >= steady && stay(f.settled) && !selfWaking(c.g) ||
		c.watched() >= c.t.rules.slots(length) && stay(f.loops)
}

// busyLeak reports whether members that work accumulate: practically each root span leaves one, none
// has ended, and the load goes on. Connections that clients open do the same, so the number of
// accepted connections must be known and must not explain the members.
func (c *classifier) busyLeak() bool {
	const (
		crowd  = 50
		length = 72 // slots: 6 minutes
		steady = 0.85
		most   = 1.5 // joins for each span
	)
	f := c.facts
	if !f.active() || f.io || f.sessions || c.t.members.accepted < 0 || selfWaking(c.g) || c.g.Count < crowd {
		return false
	}
	return f.recordings >= enoughRecordings && c.watched() >= c.t.rules.slots(length) && f.load >= steady/2 &&
		f.perSpan >= steady && f.perSpan <= most && f.loopPace >= steady && f.ended == 0 && f.settled.stayed >= crowd && f.settled.gone() == 0
}

// watched returns how long the group has been watched.
func (c *classifier) watched() time.Duration {
	if c.h.watch == nil {
		return 0
	}
	return c.in.at - c.h.watch.since
}

// refuted returns why the evidence of an open alarm no longer holds, or "": half of the members
// have ended, or members work, or end late.
func (c *classifier) refuted() string {
	f, peak := c.facts, c.t.open[c.g.Key].peak
	many := func(x cohort) bool { return x.stayed+x.left >= minCohort && 10*x.left >= x.stayed }
	switch {
	case 2*c.g.Count <= peak:
		return fmt.Sprintf("%d of %d members are left", c.g.Count, peak)
	case f.recordings == 0:
		return ""
	case c.t.open[c.g.Key].busy && many(f.settled):
		return c.fate(f.settled, c.t.rules.slots(ageSlots+watchSlots))
	case !c.t.open[c.g.Key].busy && 10*f.activity.woken >= f.activity.old:
		return "they work: " + c.ran()
	case many(f.cohort):
		return c.fate(f.cohort, f.age)
	case many(f.loops):
		return c.fate(f.loops, c.t.rules.slots(2*loopSlots))
	case c.was == Leak && !c.t.open[c.g.Key].proven && c.full():
		return fmt.Sprintf("practically none has joined for %v, but its root spans go on", round(c.t.rules.slots(batchSlots)))
	default:
		return ""
	}
}

// full reports whether the group is a set that has stopped growing although the load that created
// it goes on. In the last batchSlots, root spans of its names ended at least half as fast as in
// the watch before. At the pace of joining since the watch began, 20 members would have joined,
// but practically none has. If the load is unknown or has stopped too, a leak looks the same.
func (c *classifier) full() bool {
	const (
		enough   = 20 // members that would have joined
		few      = 20 // one in so many may have
		mainRoot = 10 // share of the members that a root must have created, one in so many
	)
	w, recently := c.h.watch, c.t.rules.slots(batchSlots)
	if w == nil || !c.g.labelled() || c.watched() < 2*recently {
		return false
	}
	names := map[string]bool{}
	for _, r := range c.labels.labels {
		if mainRoot*r.Count >= c.g.Count {
			maps.Copy(names, r.all)
		}
	}
	ended := 0.0
	for name := range names {
		ended += float64(c.t.spans.endedWithin(name, c.in.at, recently))
	}
	all, joined := c.t.loadOf(c.g, c.in.spans)-w.ended, 0
	for _, x := range c.g.Origins {
		if o := c.t.originInfo(x.Root, x.Epoch); x.Root != "" && (!o.ok || c.in.now.Sub(o.To) < recently) {
			joined += x.Count
		}
	}
	before := (all - ended) / (c.watched() - recently).Seconds()
	expected := ended * float64(c.g.Count-joined-w.size) / max(1, all-ended)
	return 2*ended/recently.Seconds() >= before && expected >= enough && few*float64(joined) <= expected
}

// confirm returns the open verdict with current evidence.
func (c *classifier) confirm() (Kind, string) {
	before := c.t.open[c.g.Key].Evidence
	switch {
	case c.was == LeakProven:
		return Leak, "the garbage collector found earlier that nothing can wake some of them; they still exist"
	case c.facts.recordings == 0:
		return c.was, before
	case c.was == Stuck:
		if why := c.stuck(); why != "" {
			return Stuck, why
		}
		return Stuck, before
	case c.t.open[c.g.Key].busy:
		return c.was, c.accumulation()
	case !c.facts.silentGroup():
		return c.was, c.loop()
	default:
		return c.was, c.silence()
	}
}

// classifyActive returns the verdict on a group whose members work.
func (c *classifier) classifyActive() (Kind, string) {
	f := c.facts
	switch {
	case f.sibling != nil && !f.active():
		return c.growing(Pool, fmt.Sprintf("goroutines that are created together with them work: %s", f.sibling))
	case f.turnsOver():
		return c.classifyTurnover()
	default:
		return c.growing(Pool, "they work: "+c.ran())
	}
}

// classifyTurnover returns the verdict on a group whose members end and are replaced.
func (c *classifier) classifyTurnover() (Kind, string) {
	f := c.facts
	seen := fmt.Sprintf("%d of %d ended between the last two recordings", f.gone, f.before)
	if !selfWaking(c.g) && residenceRises(&c.h.levels[0], &c.t.rates) {
		return c.growing(Pressure, seen+"; each stays longer than before: what they wait for is slow")
	}
	return c.growing(Load, seen)
}

// growing returns a verdict that is no alarm, if the group grew recently.
func (c *classifier) growing(k Kind, evidence string) (Kind, string) {
	least := float64(c.t.rules.minGrowth)
	if c.was != "" {
		least = 1
	}
	if c.g.Count < c.t.rules.minGrowth || !c.h.rising(least) {
		return "", ""
	}
	return k, evidence
}

// classifyUnknown returns the verdict on a group that grows for an unknown reason.
func (c *classifier) classifyUnknown() (Kind, string) {
	if k, why := c.classifyBurst(); k != "" {
		return k, why
	}
	const shown = 6 // slots of watching, before which nothing is known
	if c.watched() < c.t.rules.slots(shown) {
		return "", ""
	}
	if !c.h.level() {
		return c.growing(Growing, c.soFar())
	}
	if f := c.facts; f.mature && f.silentGroup() {
		return c.growing(Pool, "the group has stopped growing; "+c.ran())
	}
	return "", ""
}

// classifyBurst returns the verdict on many goroutines that appeared at once.
func (c *classifier) classifyBurst() (Kind, string) {
	const burst = 10 // times minGrowth
	x := c.h.levels[0].series()
	if len(x) < 2 {
		return "", "" // they may be older
	}
	before := slices.Min(x[:len(x)-1])
	n := float64(c.g.Count)
	if n < 2*before || n-before < float64(burst*c.t.rules.minGrowth) || c.watched() >= c.t.rules.slots(slots) {
		return "", ""
	}
	return Burst, fmt.Sprintf("%.0f a minute ago; %s", before, c.soFar())
}
