// SPDX-License-Identifier: Apache-2.0

package goroutines

import (
	"maps"
	"slices"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// circumstances are the state of the process at a survey.
type circumstances struct {
	now      time.Time
	at       time.Duration // since the first survey
	created  float64       // goroutines created since the process started; NaN if unknown
	stack    float64       // bytes of all goroutine stacks; 0 if unknown
	headroom float64       // bytes to the nearest memory limit; 0 if unknown
	spans    map[string]runtimeinfo.SpanGroup
	leaked   func(Key) int // goroutines that leak profiles contain
}

// rules are the parameters of verdicts.
type rules struct {
	slot      time.Duration // time between surveys, and the shortest slot of a history
	minGrowth int           // goroutines from which a group is reported
}

// slots returns the length of n slots.
func (r rules) slots(n int) time.Duration { return time.Duration(n) * r.slot }

// openAge is the age from which members are compared with open spans.
func (r rules) openAge() time.Duration { return r.slots(9) }

const (
	// forgetAfter is the number of slots after which an empty group is forgotten.
	forgetAfter = 2 * slots
	// A root span is a batch job if fewer than fewEnded spans of its name ended in batchSlots.
	// One job may create many goroutines.
	fewEnded, batchSlots = 20, 36
)

// groupTracker follows the groups from survey to survey: their histories, what recordings show
// of the suspicious ones, and the verdicts. Its callers serialize access.
type groupTracker struct {
	rules     rules
	lookup    func(root, epoch string) (runtimeinfo.Origin, bool) // may be nil
	recording bool                                                // there is a recorder
	hints     hints

	start     time.Time // of the first survey
	histories map[Key]*history
	present   map[Key]*Group // in the newest survey
	rates     floors         // goroutines created per second
	spans     spanLog
	newest    *Survey
	totals    totals                    // of the newest survey
	origins   map[labelPair]*originInfo // results of lookup at the newest survey
	last      circumstances
	open      map[Key]*openVerdict
	reports   int // number of incidents that were reported
	pending   []runtimeinfo.Event

	members memberLog
}

// openVerdict is a verdict that has not been closed, and what was reported of it.
type openVerdict struct {
	Verdict
	peak     int
	busy     bool // a leak whose members work
	proven   bool // the garbage collector found once that members leak
	reported bool
	leader   *openVerdict // of the verdicts with one cause; nil if the verdict leads them
	incident *incident    // that was reported; nil if none was
}

func newGroupTracker(r rules, lookup func(root, epoch string) (runtimeinfo.Origin, bool)) *groupTracker {
	return &groupTracker{
		rules: r, lookup: lookup, hints: newHints(newProgram()),
		histories: map[Key]*history{}, present: map[Key]*Group{}, open: map[Key]*openVerdict{},
		origins: map[labelPair]*originInfo{}, spans: spanLog{},
		members: memberLog{accepted: -1, groups: map[Key]*members{}, creations: map[uint64][]Site{}, young: r.slots(ageSlots), late: r.slots(lateSlots)},
	}
}

// survey adds a survey and returns the open verdicts that lead an incident, worst first.
func (t *groupTracker) survey(s *Survey, in circumstances) []Verdict {
	t.addHistory(s, &in)
	t.newest, t.totals = s, t.totalsOf(s)
	clear(t.origins)
	for i := range s.Groups {
		g := &s.Groups[i]
		t.evaluate(g, t.histories[g.Key], &in)
	}
	for key, o := range t.open {
		if t.present[key] == nil {
			o.Count, o.Roots, o.Ages, o.Old, o.PerMinute = 0, nil, nil, 0, 0
			t.closeVerdict(o, in.now, allEnded)
		}
	}
	maps.DeleteFunc(t.histories, func(_ Key, h *history) bool {
		return s.Time.Sub(h.seen) > t.rules.slots(forgetAfter)
	})
	t.last = in
	t.report(&in)
	return t.incidents()
}

// addHistory adds the survey to the histories.
func (t *groupTracker) addHistory(s *Survey, in *circumstances) {
	if t.start.IsZero() {
		t.start = in.now
	}
	in.at = in.now.Sub(t.start) // monotonic: the wall clock may jump
	slot := int64(in.at / t.rules.slot)
	if elapsed := in.now.Sub(t.last.now).Seconds(); t.last.created > 0 && in.created > 0 && elapsed > 0 { // false for NaN
		t.rates.add(slot, max(0, in.created-t.last.created)/elapsed)
	}
	t.spans.add(in.at, in.spans)
	clear(t.present)
	for i := range s.Groups {
		g := &s.Groups[i]
		t.present[g.Key] = g
		h := t.histories[g.Key]
		if h == nil {
			h = newHistory(slot)
			t.histories[g.Key] = h
		}
		h.add(slot, in.now, g.Count)
	}
	for key, h := range t.histories {
		if t.present[key] == nil {
			h.add(slot, in.now, 0)
		}
	}
}

// evaluate opens, updates or closes the verdict on a group.
func (t *groupTracker) evaluate(g *Group, h *history, in *circumstances) {
	o := t.open[g.Key]
	if o == nil && (g.Count < minHalted || g.Count < minWatched && !neverIdle(g.Class) && !waitsForPool(g)) {
		h.watch = nil
		return
	}
	c := classifier{t: t, g: g, h: h, in: in, v: &Verdict{Key: g.Key, Count: g.Count, Since: in.now}}
	v := c.v
	v.Memory = in.stackOf(g.Count, t.newest.Goroutines)
	v.PerMinute = h.growth() * float64(time.Minute) / float64(t.rules.slot)
	v.ToLimit = in.toLimit(v.PerMinute, t.newest.Goroutines)
	if o != nil {
		c.was = o.Kind
	}
	c.decide()
	if o != nil && (v.Kind == "" || o.Kind.Suspect() && !v.Kind.Suspect()) {
		o.Count, o.Roots, o.Ages, o.Old, o.PerMinute = v.Count, v.Roots, v.Ages, v.Old, v.PerMinute
		t.closeVerdict(o, in.now, c.closing)
		o = nil
	}
	if v.Kind == "" {
		return
	}
	if o == nil {
		o = &openVerdict{Verdict: Verdict{Since: in.now}}
		t.open[v.Key] = o
	}
	worse := rank(v.Kind) < rank(o.Kind)
	v.Since, v.Also = o.Since, o.Also
	o.Verdict = *v
	o.peak = max(o.peak, v.Count)
	o.busy = v.Kind == Leak && (o.busy || c.busy)
	o.proven = o.proven || v.Kind == LeakProven
	if worse {
		o.reported = false
	}
}

// closeVerdict closes a verdict. It makes an event if the opening was reported. Its evidence is
// why the verdict is closed, if known.
func (t *groupTracker) closeVerdict(o *openVerdict, now time.Time, why string) {
	delete(t.open, o.Key)
	if why != "" {
		o.Evidence = why
	}
	if o.incident != nil {
		if !t.goesOn(o.incident) {
			t.emitIncident(o, "goroutine.verdict.closed", runtimeinfo.IncidentClosed, now)
		}
		return
	}
	if o.reported && o.leader == nil {
		e := o.event("goroutine.verdict.closed", now)
		e.Severity = Load.severity()
		t.pending = append(t.pending, e)
	}
}

// incidents returns copies of the verdicts that lead an incident, worst first.
func (t *groupTracker) incidents() []Verdict {
	all := make([]Verdict, 0, len(t.open))
	for _, o := range t.ordered() {
		if o.leader == nil {
			v := o.Verdict
			v.Also = slices.Clone(v.Also)
			all = append(all, v)
		}
	}
	return all
}

// takeEvents returns the events since the last call.
func (t *groupTracker) takeEvents() []runtimeinfo.Event {
	e := t.pending
	t.pending = nil
	return e
}

// stackOf estimates the stack bytes of n of all goroutines from the mean.
func (in *circumstances) stackOf(n, all int) float64 {
	if all == 0 {
		return 0
	}
	return in.stack / float64(all) * float64(n)
}

// toLimit returns the time until stacks that grow at a rate fill the memory, 0 if unknown.
func (in *circumstances) toLimit(perMinute float64, all int) time.Duration {
	bytes := perMinute * in.stackOf(1, all)
	if in.headroom <= 0 || bytes <= 0 {
		return 0
	}
	const longest = 365 * 24 * 60 // minutes
	return time.Duration(min(in.headroom/bytes, longest) * float64(time.Minute))
}
