// SPDX-License-Identifier: Apache-2.0

package goroutines

import (
	"fmt"
	"math"
	"time"
)

// judgement decides on one group at one survey.
type judgement struct {
	t   *groupTracker
	s   *Survey
	g   *Group
	tr  *track
	in  *circumstances
	v   *Verdict
	was Kind // the standing verdict, "" for none

	labels labelFacts
	facts  *facts // of recordings; its zero value where there are none
}

// decide fills in the kind and the evidence of the verdict; no kind is no verdict.
func (j *judgement) decide() {
	sig, _ := recognise(j.t.known, j.g)
	j.labels = j.t.labelFactsOf(j.g, j.in)
	v := j.v
	v.Roots, v.Ages, v.Old = j.labels.roots, j.labels.ages, j.labels.old
	if v.Leaked = j.in.proven(j.g.Key); v.Leaked > 0 {
		v.Kind = LeakProven
		v.Evidence = fmt.Sprintf("two runs of the garbage collector found that nothing can wake %d of them", v.Leaked)
	}
	if sig.kind == Connections && v.Kind == "" {
		if j.tr.rising(float64(j.t.rules.minGrowth)) {
			v.Kind, v.Evidence, v.Roots = Connections, "one for each connection of a client", nil
			v.Where = j.g.Site
		}
		return
	}
	j.watch()
	if v.Kind == "" {
		v.Kind, v.Evidence = j.classify(&sig)
	}
	if v.Kind != "" {
		if !handlesRequest(j.g) { // the server's accept loop tells nothing
			v.Creation = j.facts.line
		}
		v.Where = j.t.program.where(j.g.Stack, j.facts.creation)
		v.creation = j.facts.creation
	}
}

// watch begins or ends the watch of the group, and finds what recordings show of it.
func (j *judgement) watch() {
	t, tr := j.t, j.tr
	inFlight := j.labels.old >= t.rules.minGrowth && j.inFlight()
	switch {
	case tr.watch == nil && (t.suspicious(j.g, tr) || inFlight):
		t.watchGroup(j.g, tr, j.in)
	case tr.watch != nil && j.g.Count < minWatched:
		tr.watch = nil
	}
	j.facts = &facts{pace: math.NaN()}
	if tr.watch != nil {
		j.facts = &tr.watch.facts
		j.v.Old = max(j.v.Old, j.facts.aged)
	}
}

// classify returns what the evidence says.
func (j *judgement) classify(sig *signature) (Kind, string) {
	if j.was.Suspect() && !j.refuted() {
		return j.standing()
	}
	if handlesRequest(j.g) || !sig.background && j.inFlight() {
		return j.classifyInFlight()
	}
	if j.tr.watch == nil {
		return j.classifyBurst()
	}
	f := j.facts
	switch {
	case f.active() || f.sibling != nil:
		return j.classifyActive()
	case f.sessions:
		return j.growing(Connections, fmt.Sprintf("they keep step with the connections that the process has accepted, %d now", j.t.accepted[len(j.t.accepted)-1].n))
	case f.io && !j.t.socketsKnown() && f.looks > 0:
		return j.growing(Connections, "they wait for a peer, or were made together with goroutines that do")
	case j.dead():
		return Leak, j.silence()
	case j.loopLeak():
		return Leak, j.loop()
	case f.comesAndGoes():
		return j.classifyTurnover()
	}
	return j.classifyUnknown()
}

// enough is how many recordings a leak needs that show members which do not run.
const enough = 4

// dead reports whether the group leaks: it grows, and its members neither run nor end.
func (j *judgement) dead() bool {
	f := j.facts
	if !f.silentGroup() || 10*f.silent < 9*f.aged || j.g.Count < j.t.rules.minGrowth || selfWaking(j.g) {
		return false
	}
	return f.looks >= enough && f.mature && j.stillJoin(0.6) || f.looks >= 2 && f.quick && j.endangers()
}

// endangers reports whether the stacks of the group will use up the memory in minutes.
func (j *judgement) endangers() bool {
	return j.v.ToLimit > 0 && j.v.ToLimit < j.t.rules.slots(60)
}

// stillJoin reports whether members that stay join as before: at least so many per
// unit of load, in proportion to the members that joined during the whole watch.
func (j *judgement) stillJoin(ratio float64) bool {
	return j.facts.pace >= ratio // not if it is NaN
}

// loopLeak reports whether members that wake themselves pile up without an end in
// sight: practically each root span leaves one, or as many as ever join for minutes.
func (j *judgement) loopLeak() bool {
	const (
		crowd  = 50
		length = 96 // slots: 8 minutes
		steady = 0.85
	)
	f := j.facts
	a := &f.activity
	if f.looks < enough || f.active() || 50*(a.ran-a.timed) > a.old || j.g.Count < crowd {
		return false
	}
	if c := &f.settled; f.perSpan >= steady && f.loopPace >= steady && c.stayed >= crowd && c.left+c.maybe == 0 && !selfWaking(j.g) {
		return true
	}
	c := &f.loops
	return j.watched() >= j.t.rules.slots(length) && f.loopPace >= steady && c.stayed >= crowd && c.left+c.maybe == 0
}

// watched returns for how long the group has been watched.
func (j *judgement) watched() time.Duration {
	if j.tr.watch == nil {
		return 0
	}
	return j.in.at - j.tr.watch.since
}

// refuted reports whether the evidence of a standing alarm is gone: members end, or
// they work, or most of them have gone.
func (j *judgement) refuted() bool {
	f, o := j.facts, j.t.open[j.g.Key]
	if o == nil || 2*j.g.Count <= o.peak {
		return true
	}
	a := &f.activity
	left := f.stayed+f.left >= minCohort && 10*f.left >= f.stayed
	left = left || f.loops.stayed+f.loops.left >= minCohort && 10*f.loops.left >= f.loops.stayed
	return f.looks > 0 && (10*a.used >= a.old || left)
}

// standing returns the verdict that stands, with the evidence of now.
func (j *judgement) standing() (Kind, string) {
	if j.was == LeakProven {
		return Leak, "the garbage collector found earlier that nothing can wake some of them; they are still there"
	}
	if j.facts.looks == 0 {
		return j.was, j.t.open[j.g.Key].Evidence
	}
	if j.was == Stuck {
		if why := j.stuck(); why != "" {
			return Stuck, why
		}
		return Stuck, j.t.open[j.g.Key].Evidence
	}
	if !j.facts.silentGroup() {
		return j.was, j.loop()
	}
	return j.was, j.silence()
}

// classifyActive returns the verdict on a group whose members are put to work.
func (j *judgement) classifyActive() (Kind, string) {
	f := j.facts
	if f.sibling != nil && !f.active() {
		return j.growing(Pool, fmt.Sprintf("goroutines that are made together with them are at work: %s", f.sibling))
	}
	kind := Pool
	if f.comesAndGoes() {
		return j.classifyTurnover()
	}
	return j.growing(kind, "they work: "+j.ran())
}

// classifyTurnover returns the verdict on a group whose members end and are replaced.
func (j *judgement) classifyTurnover() (Kind, string) {
	f := j.facts
	seen := fmt.Sprintf("%d of %d ended between the last two recordings", f.gone, f.before)
	if !selfWaking(j.g) && residenceRises(&j.tr.levels[0], &j.t.rates) {
		return j.growing(Pressure, seen+"; each stays longer than before: what they wait for is slow")
	}
	return j.growing(Load, seen)
}

// growing returns a verdict of no alarm on a group that grew of late; none on one
// that did not.
func (j *judgement) growing(k Kind, evidence string) (Kind, string) {
	least := float64(j.t.rules.minGrowth)
	if j.g.Count < j.t.rules.minGrowth || !j.tr.rising(least) && j.was == "" {
		return "", ""
	}
	if j.was != "" && !j.tr.rising(1) { // it has stopped
		return "", ""
	}
	return k, evidence
}

// classifyUnknown returns the verdict on a group that grows and of which it is not known yet what it is.
func (j *judgement) classifyUnknown() (Kind, string) {
	if k, why := j.classifyBurst(); k != "" {
		return k, why
	}
	const shown = 6 // slots of watching, before that it may be anything
	if j.watched() < j.t.rules.slots(shown) {
		return "", ""
	}
	f := j.facts
	if j.tr.level() {
		if f.mature && f.silentGroup() {
			return j.growing(Pool, "the group grew and has stopped growing; "+j.ran())
		}
		return "", ""
	}
	return j.growing(Growing, j.soFar())
}

// classifyBurst returns the verdict on many goroutines at once, before it is known what they are.
func (j *judgement) classifyBurst() (Kind, string) {
	const burst = 10 // times minGrowth
	x := j.tr.levels[0].series()
	if len(x) < 2 {
		return "", "" // it may have been so for long
	}
	before := x[0]
	for _, v := range x[:len(x)-1] {
		before = min(before, v)
	}
	if g := j.g; float64(g.Count) < 2*before || float64(g.Count)-before < float64(burst*j.t.rules.minGrowth) || j.watched() >= j.t.rules.slots(slots) {
		return "", ""
	}
	return Burst, fmt.Sprintf("%.0f a minute ago; %s", before, j.soFar())
}

func round(d time.Duration) time.Duration {
	if d < time.Second {
		return d.Round(time.Millisecond)
	}
	return d.Round(time.Second)
}
