package goroutines

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sort"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// Origins tells of the spans behind the labels that goroutines inherit.
// [tracectx.Processor] does.
//
// [tracectx.Processor]: https://pkg.go.dev/github.com/gmpulse/gmpulse/tracectx#Processor
type Origins interface {
	// Origin returns what is known of the local root spans of one name that
	// began in one epoch, by the values of their labels. It may be called from any
	// goroutine and must not block.
	Origin(root, epoch string) (o runtimeinfo.Origin, ok bool)
}

// circumstances are what a survey is judged in the light of.
type circumstances struct {
	now      time.Time
	created  float64 // goroutines created since the process began; NaN if unknown
	stack    float64 // bytes of all goroutine stacks; 0 if unknown
	headroom float64 // bytes to the nearest memory limit; 0 if unknown
	spans    map[string]runtimeinfo.SpanGroup
	proven   func(Key) int
}

// rules are the numbers that verdicts go by.
type rules struct {
	slot      time.Duration // the shortest slot of a trend
	minGrowth int           // goroutines that a group must have grown by
	minAge    time.Duration // younger members are in flight
}

// forgetAfter is for how many of the shortest slots an empty group is remembered.
const forgetAfter = 2 * slots

// casebook remembers groups from survey to survey and the verdicts on them.
type casebook struct {
	rules   rules
	origins Origins // may be nil
	known   []signature

	start   time.Time // of the first survey
	tracks  map[Key]*track
	present map[Key]bool // in the newest survey
	rates   [3]floors    // goroutines created a second
	total   track
	paces   map[string]pace // of spans, by name
	last    circumstances
	open    map[Key]*openCase
	pending []runtimeinfo.Event

	cohorts  cohorts
	rollable bool // there is somebody to call the roll
	rolling  bool // and the last call was none that failed
	asks     bool // a roll call would tell something of a group that is not a suspect yet
}

// openCase is a verdict that stands, and what was said of it.
type openCase struct {
	Verdict
	peak     int
	saidAt   time.Time
	saidSize int
}

func newCasebook(r rules, o Origins) *casebook {
	return &casebook{rules: r, origins: o, known: signatures(), tracks: map[Key]*track{}, present: map[Key]bool{}, open: map[Key]*openCase{}, paces: map[string]pace{}}
}

// add takes a survey and returns the verdicts that now stand, worst first.
func (c *casebook) add(s *Survey, in circumstances) []Verdict {
	c.remember(s, in)
	c.asks = false
	for i := range s.Groups {
		g := &s.Groups[i]
		if t := c.tracks[g.Key]; t != nil {
			c.consider(s, g, t, &in)
		}
	}
	c.closeEmpty(&in)
	c.forget(s)
	c.cohorts.forget(in.now, c.apart())
	c.last = in
	return c.standing()
}

// apart is the time from one roll call to the next.
func (c *casebook) apart() time.Duration { return rollSlots * c.rules.slot }

// remember adds the survey to the history.
func (c *casebook) remember(s *Survey, in circumstances) {
	if c.start.IsZero() {
		c.start = in.now
	}
	slot := int64(in.now.Sub(c.start) / c.rules.slot)                                                     // monotonic: the wall clock may jump
	if elapsed := in.now.Sub(c.last.now).Seconds(); c.last.created > 0 && in.created > 0 && elapsed > 0 { // neither is NaN
		for i, length := range horizons() {
			c.rates[i].add(slot/length, max(0, in.created-c.last.created)/elapsed)
		}
	}
	c.total.add(slot, in.now, s.Goroutines)
	for name, g := range in.spans {
		c.paces[name] = c.paces[name].add(in.now, g.Ended)
	}
	clear(c.present)
	for i := range s.Groups {
		g := &s.Groups[i]
		c.present[g.Key] = true
		t := c.tracks[g.Key]
		if t == nil {
			t = c.newTrack()
			c.tracks[g.Key] = t
		}
		t.add(slot, in.now, g.Count)
	}
	for key, t := range c.tracks {
		if !c.present[key] {
			t.add(slot, in.now, 0)
		}
	}
}

// newTrack is the history of a group that was empty for as long as we looked.
func (c *casebook) newTrack() *track {
	t := new(track)
	for i := range t.levels {
		all := &c.total.levels[i] // has the slot under way already
		t.levels[i] = floors{n: all.n - 1, current: all.current - 1}
	}
	return t
}

// consider judges one group and says what is new.
func (c *casebook) consider(s *Survey, g *Group, t *track, in *circumstances) {
	v := c.judge(s, g, t, in)
	was := c.open[g.Key]
	if suspect := was != nil && was.Kind.Suspect(); !suspect && !g.labelled() && t.rising(c.rules.minGrowth) {
		c.asks = c.rollable
	}
	if was != nil && was.Kind == Leak && g.labelled() && t.refuted() {
		c.shut(was, in.now)
		was = nil
	}
	if v == nil {
		if was != nil {
			c.revise(was, g, in)
		}
		return
	}
	if was != nil && rank(was.Kind) < rank(v.Kind) && was.Kind.Suspect() {
		v.Kind, v.Evidence = was.Kind, was.Evidence // a leak does not become less of one by slowing down
	}
	c.file(was, v, in)
}

// judge decides on one group; nil is nothing to say.
func (c *casebook) judge(s *Survey, g *Group, t *track, in *circumstances) *Verdict {
	v := c.reason(s, g, t, in)
	if v != nil && (v.Kind.Suspect() || v.Kind == Pressure) {
		sig, _ := recognise(c.known, g)
		if v.Hint = sig.hint; v.Hint == "" {
			v.Hint = hintFor(s, g)
		}
	}
	return v
}

// reason is judge without the hint.
func (c *casebook) reason(s *Survey, g *Group, t *track, in *circumstances) *Verdict {
	sig, known := recognise(c.known, g)
	v := &Verdict{Key: g.Key, Count: g.Count, Since: in.now, Memory: in.stackOf(g.Count, s.Goroutines)}
	level, perSlot, growing := t.growth(c.rules.minGrowth)
	if growing {
		v.PerMinute = perSlot * float64(time.Minute) / float64(c.rules.slot)
		v.Since = in.now.Add(-time.Duration(horizons()[level]*slots) * c.rules.slot)
		v.ToLimit = in.toLimit(v.PerMinute, s.Goroutines)
	}
	a := c.ages(g, in)
	a.turnover = t.follow(g, &a, in.now, &c.rules)
	v.Roots, v.Ages, v.Old = a.roots, a.ages, a.old
	if v.Leaked = in.proven(g.Key); v.Leaked > 0 {
		v.Kind = LeakProven
		v.Evidence = fmt.Sprintf("the garbage collector found twice that nothing can wake %d of them", v.Leaked)
		return v
	}
	connection := known && sig.kind == Connections || staysConnected(g, &a)
	switch {
	case connection && !growing:
		return nil
	case connection:
		v.Kind, v.Evidence, v.Roots = Connections, "they grow with the number of connections", nil
		return v
	}
	if v.Kind, v.Evidence = c.weigh(s, g, t, &a, in, level, growing, sig.background); v.Kind == "" {
		return nil
	}
	return v
}

// file keeps a verdict and makes an event of what is new in it.
func (c *casebook) file(was *openCase, v *Verdict, in *circumstances) {
	if was == nil {
		was = &openCase{Verdict: *v}
		c.open[v.Key] = was
	}
	worse := rank(v.Kind) < rank(was.Kind)
	since := was.Since
	was.Verdict = *v
	was.Since = since
	was.peak = max(was.peak, v.Count)
	if c.joins(was) {
		return
	}
	switch {
	case was.saidAt.IsZero() || worse:
		c.say(was, "goroutine.verdict.opened", in.now)
	case v.Count >= 2*was.saidSize:
		c.say(was, "goroutine.verdict.doubled", in.now)
	}
}

// say makes the event, unless the same was said a short while ago.
func (c *casebook) say(o *openCase, name string, now time.Time) {
	o.saidAt, o.saidSize = now, max(1, o.Count)
	c.pending = append(c.pending, o.event(name, now))
}

// joins tells whether the case is part of an incident that another stands for.
func (c *casebook) joins(o *openCase) bool {
	sig, ok := recognise(c.known, &Group{Key: o.Key})
	if !ok || sig.incident == "" {
		return false
	}
	for key, lead := range c.open {
		if key == o.Key || lead.saidAt.IsZero() || lead.Kind != o.Kind {
			continue
		}
		if s, ok := recognise(c.known, &Group{Key: key}); ok && s.incident == sig.incident {
			if !slices.Contains(lead.Also, o.Key) {
				lead.Also = append(lead.Also, o.Key)
			}
			return true
		}
	}
	return false
}

// revise looks again at a standing verdict whose group gives no reason any more.
func (c *casebook) revise(o *openCase, g *Group, in *circumstances) {
	o.Count, o.PerMinute, o.ToLimit = g.Count, 0, 0
	switch {
	case 2*g.Count <= o.peak:
		c.shut(o, in.now)
	case o.Kind.Suspect(): // it stands: they are still there
	case o.Kind == Pool:
	case o.Kind == Burst && 4*g.Count < 3*o.peak:
		c.shut(o, in.now) // it ebbs away
	case c.tracks[o.Key].level():
		o.Kind, o.Evidence = Pool, "it grew and has stopped growing"
	}
}

// shut closes a case and says so, if its opening was said.
func (c *casebook) shut(o *openCase, now time.Time) {
	delete(c.open, o.Key)
	if !o.saidAt.IsZero() {
		e := o.event("goroutine.verdict.closed", now)
		e.Severity = Load.severity()
		c.pending = append(c.pending, e)
	}
}

func (c *casebook) closeEmpty(in *circumstances) {
	for key, o := range c.open {
		if !c.present[key] {
			o.Count = 0
			c.shut(o, in.now)
		}
	}
}

// forget drops groups that have been empty for long.
func (c *casebook) forget(s *Survey) {
	maps.DeleteFunc(c.tracks, func(_ Key, t *track) bool {
		return s.Time.Sub(t.seen) > forgetAfter*c.rules.slot
	})
}

// standing returns copies of the open verdicts, worst and largest first.
func (c *casebook) standing() []Verdict {
	all := make([]Verdict, 0, len(c.open))
	for _, o := range c.open {
		v := o.Verdict
		v.Also = slices.Clone(v.Also)
		all = append(all, v)
	}
	sort.Slice(all, func(i, j int) bool {
		a, b := &all[i], &all[j]
		return cmp.Or(cmp.Compare(rank(a.Kind), rank(b.Kind)), cmp.Compare(b.Count, a.Count), cmp.Compare(a.Key.Entry, b.Key.Entry)) < 0
	})
	return all
}

// takeEvents returns the events since the last call.
func (c *casebook) takeEvents() []runtimeinfo.Event {
	e := c.pending
	c.pending = nil
	return e
}

// rank orders kinds, worst first.
func rank(k Kind) int {
	return slices.Index([]Kind{LeakProven, Leak, Stuck, Pressure, Burst, Load, Connections, Pool}, k)
}

// stackOf estimates the stacks of some goroutines by the mean of all.
func (in *circumstances) stackOf(n, all int) float64 {
	if all == 0 {
		return 0
	}
	return in.stack / float64(all) * float64(n)
}

// toLimit is how long the memory lasts if stacks go on growing so.
func (in *circumstances) toLimit(perMinute float64, all int) time.Duration {
	bytes := perMinute * in.stackOf(1, all)
	if in.headroom <= 0 || bytes <= 0 {
		return 0
	}
	const longest = 365 * 24 * 60 // minutes
	return time.Duration(min(in.headroom/bytes, longest) * float64(time.Minute))
}
