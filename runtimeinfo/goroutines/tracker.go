// SPDX-License-Identifier: Apache-2.0

package goroutines

import (
	"cmp"
	"maps"
	"slices"
	"sort"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// Origins tells of the spans behind the labels that goroutines inherit.
// [tracectx.Processor] is one.
//
// [tracectx.Processor]: https://pkg.go.dev/github.com/gmpulse/gmpulse/tracectx#Processor
type Origins interface {
	// Origin returns what is known of the local root spans of one name that
	// began in one epoch, by the values of their labels. It may be called from any
	// goroutine and must not block.
	Origin(root, epoch string) (o runtimeinfo.Origin, ok bool)
}

// circumstances are the state of the process at a survey.
type circumstances struct {
	now      time.Time
	at       time.Duration // now, since the first survey
	created  float64       // goroutines created since the process began; NaN if unknown
	stack    float64       // bytes of all goroutine stacks; 0 if unknown
	headroom float64       // bytes to the nearest memory limit; 0 if unknown
	spans    map[string]runtimeinfo.SpanGroup
	proven   func(Key) int
}

// rules are the numbers that verdicts go by.
type rules struct {
	slot      time.Duration // the shortest slot of a trend, and the time between surveys
	minGrowth int           // goroutines that a group must have before it is reported
}

// slots returns the length of n slots.
func (r rules) slots(n int) time.Duration { return time.Duration(n) * r.slot }

// openAge is the age from which a member is compared with spans that are still open.
func (r rules) openAge() time.Duration { return r.slots(9) }

const (
	// forgetAfter is for how many slots an empty group is remembered.
	forgetAfter = 2 * slots
	// A root span of which fewer than fewEnded ended in batchSlots is a batch job:
	// one span may have many goroutines.
	fewEnded, batchSlots = 20, 36
)

// groupTracker remembers groups from survey to survey, what recordings show of the
// suspicious ones, and the verdicts on them. It is for one goroutine at a time.
type groupTracker struct {
	rules     rules
	origins   Origins // may be nil
	known     []signature
	recording bool // there is a recorder
	program   program
	hints     *hints

	start   time.Time // of the first survey
	tracks  map[Key]*track
	present map[Key]*Group // in the newest survey
	rates   floors         // goroutines created a second
	total   track
	spans   spanLog
	newest  *Survey
	totals  totals             // of the newest survey
	births  map[origin]*bornAt // what Origins told at it
	last    circumstances
	open    map[Key]*openVerdict
	pending []runtimeinfo.Event

	members  memberLog
	accepted []socketCount // one for each recording
}

// socketCount is how many connections the process had accepted at a recording.
type socketCount struct {
	at time.Duration
	n  int
}

// openVerdict is a verdict that stands, and what was reported of it.
type openVerdict struct {
	Verdict
	peak         int
	reported     bool
	reportedSize int
	leader       *openVerdict // of the incident; nil: it is its own
}

func newGroupTracker(r rules, o Origins) *groupTracker {
	p := newProgram()
	return &groupTracker{
		rules: r, origins: o, known: signatures(), program: p, hints: newHints(p),
		tracks: map[Key]*track{}, present: map[Key]*Group{}, open: map[Key]*openVerdict{},
		births: map[origin]*bornAt{}, spans: spanLog{map[string]*spanHistory{}}, members: memberLog{groups: map[Key]*members{}, young: r.slots(ageSlots)},
	}
}

// survey takes a survey and returns the incidents that now stand, worst first.
func (t *groupTracker) survey(s *Survey, in circumstances) []Verdict {
	t.remember(s, &in)
	t.newest, t.totals = s, t.totalsOf(s)
	clear(t.births)
	for i := range s.Groups {
		g := &s.Groups[i]
		t.consider(s, g, t.tracks[g.Key], &in)
	}
	t.closeEmpty(&in)
	t.forget(s)
	t.last = in
	t.report(&in)
	return t.incidents()
}

// remember adds the survey to the history.
func (t *groupTracker) remember(s *Survey, in *circumstances) {
	if t.start.IsZero() {
		t.start = in.now
	}
	in.at = in.now.Sub(t.start) // monotonic: the wall clock may jump
	slot := int64(in.at / t.rules.slot)
	if elapsed := in.now.Sub(t.last.now).Seconds(); t.last.created > 0 && in.created > 0 && elapsed > 0 { // neither is NaN
		t.rates.add(slot, max(0, in.created-t.last.created)/elapsed)
	}
	t.total.add(slot, in.now, s.Goroutines)
	t.spans.add(in.at, in.spans)
	clear(t.present)
	for i := range s.Groups {
		g := &s.Groups[i]
		t.present[g.Key] = g
		tr := t.tracks[g.Key]
		if tr == nil {
			tr = t.newTrack()
			t.tracks[g.Key] = tr
		}
		tr.add(slot, in.now, g.Count)
	}
	for key, tr := range t.tracks {
		if t.present[key] == nil {
			tr.add(slot, in.now, 0)
		}
	}
}

// newTrack is the history of a group that was empty until now.
func (t *groupTracker) newTrack() *track {
	tr := new(track)
	for i := range tr.levels {
		all := &t.total.levels[i] // has the slot under way already
		tr.levels[i] = floors{n: all.n - 1, current: all.current - 1}
	}
	return tr
}

// consider judges one group.
func (t *groupTracker) consider(s *Survey, g *Group, tr *track, in *circumstances) {
	was := t.open[g.Key]
	if was == nil && g.Count < minWatched {
		tr.watch = nil
		return
	}
	v := &Verdict{Key: g.Key, Count: g.Count, Since: in.now, Memory: in.stackOf(g.Count, s.Goroutines)}
	v.PerMinute = tr.growth() * float64(time.Minute) / float64(t.rules.slot)
	v.ToLimit = in.toLimit(v.PerMinute, s.Goroutines)
	j := judgement{t: t, s: s, g: g, tr: tr, in: in, v: v}
	if was != nil {
		j.was = was.Kind
	}
	j.decide()
	if v.Kind == "" {
		if was != nil {
			t.shut(was, in.now)
		}
		return
	}
	if was != nil && was.Kind.Suspect() && !v.Kind.Suspect() {
		t.shut(was, in.now) // the alarm is taken back
		was = nil
	}
	if was == nil {
		was = &openVerdict{}
		was.Since = in.now
		t.open[v.Key] = was
	}
	since, also := was.Since, was.Also
	worse := rank(v.Kind) < rank(was.Kind)
	was.Verdict = *v
	was.Since, was.Also = since, also
	was.peak = max(was.peak, v.Count)
	if worse {
		was.reported = false // by its new kind it is news
	}
}

// shut closes a verdict, and reports that if its opening was reported.
func (t *groupTracker) shut(o *openVerdict, now time.Time) {
	delete(t.open, o.Key)
	if o.reported && o.leader == nil {
		e := o.event("goroutine.verdict.closed", now)
		e.Severity = Load.severity()
		t.pending = append(t.pending, e)
	}
}

// closeEmpty closes the verdicts on groups that have no members any more.
func (t *groupTracker) closeEmpty(in *circumstances) {
	for key, o := range t.open {
		if t.present[key] == nil {
			o.Count = 0
			t.shut(o, in.now)
		}
	}
}

// forget drops groups that have been empty for long.
func (t *groupTracker) forget(s *Survey) {
	maps.DeleteFunc(t.tracks, func(_ Key, tr *track) bool {
		return s.Time.Sub(tr.seen) > t.rules.slots(forgetAfter)
	})
}

// incidents returns copies of the verdicts that lead an incident, worst and largest
// first.
func (t *groupTracker) incidents() []Verdict {
	all := make([]Verdict, 0, len(t.open))
	for _, o := range t.open {
		if o.leader != nil {
			continue
		}
		v := o.Verdict
		v.Also = slices.Clone(v.Also)
		all = append(all, v)
	}
	sort.Slice(all, func(i, j int) bool {
		a, b := &all[i], &all[j]
		return cmp.Or(cmp.Compare(rank(a.Kind), rank(b.Kind)), cmp.Compare(b.Count, a.Count), a.Key.compare(b.Key)) < 0
	})
	return all
}

// takeEvents returns the events since the last call.
func (t *groupTracker) takeEvents() []runtimeinfo.Event {
	e := t.pending
	t.pending = nil
	return e
}

// stackOf estimates the stacks of some goroutines by the mean of all.
func (in *circumstances) stackOf(n, all int) float64 {
	if all == 0 {
		return 0
	}
	return in.stack / float64(all) * float64(n)
}

// toLimit returns how long the memory lasts if stacks go on growing so.
func (in *circumstances) toLimit(perMinute float64, all int) time.Duration {
	bytes := perMinute * in.stackOf(1, all)
	if in.headroom <= 0 || bytes <= 0 {
		return 0
	}
	const longest = 365 * 24 * 60 // minutes
	return time.Duration(min(in.headroom/bytes, longest) * float64(time.Minute))
}
