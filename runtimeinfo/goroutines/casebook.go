package goroutines

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
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

const (
	// A member is old when it has lived this many times as long as the spans of
	// its root take at the 99th percentile.
	oldFactor = 10
	// Members from one or two epochs are a pool that was filled once; a leak has
	// members from many.
	minOldEpochs = 3
	// At a steady load the ratio of members to creations may vary by so much.
	steadyResidence = 1.25
	// A group that has doubled, and gained this many times the least growth, since
	// its floor of the last minute has burst.
	burst = 10
	// A group is forgotten when it was empty for so many of the shortest slots.
	forgetAfter = 2 * slots
)

// casebook remembers groups from survey to survey and the verdicts on them.
type casebook struct {
	rules   rules
	origins Origins // may be nil
	known   []signature

	tracks  map[Key]*track
	present map[Key]bool // in the newest survey
	rates   [3]floors    // goroutines created a second
	total   track
	last    circumstances
	open    map[Key]*openCase
	pending []runtimeinfo.Event
}

// openCase is a verdict that stands, and what was said of it.
type openCase struct {
	Verdict
	peak     int
	saidAt   time.Time
	saidSize int
}

func newCasebook(r rules, o Origins) *casebook {
	return &casebook{rules: r, origins: o, known: signatures(), tracks: map[Key]*track{}, present: map[Key]bool{}, open: map[Key]*openCase{}}
}

// add takes a survey and returns the verdicts that now stand, worst first.
func (c *casebook) add(s *Survey, in circumstances) []Verdict {
	c.remember(s, in)
	for i := range s.Groups {
		g := &s.Groups[i]
		if t := c.tracks[g.Key]; t != nil {
			c.consider(s, g, t, &in)
		}
	}
	c.closeEmpty(&in)
	c.forget(s)
	c.last = in
	return c.standing()
}

// remember adds the survey to the history.
func (c *casebook) remember(s *Survey, in circumstances) {
	slot := in.now.UnixNano() / int64(c.rules.slot)
	if elapsed := in.now.Sub(c.last.now).Seconds(); c.last.created > 0 && elapsed > 0 {
		for i, length := range horizons() {
			c.rates[i].add(slot/length, max(0, in.created-c.last.created)/elapsed)
		}
	}
	c.total.add(slot, in.now, s.Goroutines)
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
	if v.Kind, v.Evidence = c.weigh(g, t, &a, level, growing, sig.background); v.Kind == "" {
		return nil
	}
	return v
}

// staysConnected tells a handler that lasts as long as its connection (a stream,
// a web socket) from one that is stuck: nothing is known of spans like its own
// that ended sooner, and it does not wait for a lock.
func staysConnected(g *Group, a *ageing) bool {
	return servesConnection(g.Entry) && !a.usual && g.Class.Family() != FamilyLock
}

// weigh sets growth against age, for a group that is not known by its frames.
func (c *casebook) weigh(g *Group, t *track, a *ageing, level int, growing, background bool) (Kind, string) {
	open := a.old > 0 && 5*a.stillOpen >= 4*a.old && !background
	switch {
	case open && a.old >= c.rules.minGrowth && 2*a.old >= g.Count:
		return Stuck, fmt.Sprintf("%d have waited more than %v, and their spans are still open", a.old, a.threshold.Round(time.Millisecond))
	case open:
		return "", "" // too early to tell
	case !growing:
		return c.weighBurst(g, t)
	}
	if 2*a.labelled >= g.Count {
		if a.oldEpochs >= minOldEpochs && 4*a.old >= g.Count {
			return Leak, fmt.Sprintf("%d have outlived their spans by far: they are older than %v, from %d different times", a.old, a.threshold.Round(time.Millisecond), a.oldEpochs)
		}
		if a.old > 0 {
			return "", "" // too early to tell
		}
		if c.residenceRises(t, level) {
			return Pressure, "members come and go, but each stays longer than before: something they wait for is slow"
		}
		return Load, "members come and go as before, only more of them"
	}
	return c.weighUnlabelled(g, t, level)
}

// weighBurst speaks of many goroutines at once, before there is a trend.
func (c *casebook) weighBurst(g *Group, t *track) (Kind, string) {
	x := t.levels[0].series()
	if len(x) < 2 {
		return "", "" // it may have been so for long
	}
	before := slices.Min(x[:len(x)-1])
	if g.Count < 2*int(before) || g.Count-int(before) < burst*c.rules.minGrowth {
		return "", ""
	}
	return Burst, fmt.Sprintf("%.0f a minute ago; they have not stayed long enough to judge", before)
}

// weighUnlabelled has no ages to go by: goroutines that were not created under a
// span. A leak never falls, and does not follow the load.
func (c *casebook) weighUnlabelled(g *Group, t *track, level int) (Kind, string) {
	x := t.levels[level].series()
	switch {
	case g.Class == Running:
		return Pressure, "they are ready to run and wait for a processor"
	case !c.residenceRises(t, level):
		return Load, "it grows as the creation of goroutines does"
	case neverFalls(x) && len(x) == slots:
		return Leak, "suspected: it never fell, and it grows faster than goroutines are created; its members were not created under a span, so their age is not known"
	default:
		return "", ""
	}
}

// residenceRises compares the members per creation (Little's law: the mean time
// that one stays) at the end and at the start of a horizon.
func (c *casebook) residenceRises(t *track, level int) bool {
	x, rate := t.levels[level].series(), c.rates[level].series()
	n := min(len(x), len(rate)) / 3
	if n == 0 {
		return true
	}
	x, rate = x[len(x)-3*n:], rate[len(rate)-3*n:]
	before, after := mean(x[:n])*mean(rate[2*n:]), mean(x[2*n:])*mean(rate[:n])
	chance := 2 / math.Sqrt(mean(x[:n])+1) // two standard deviations of so few arrivals
	return after > (steadyResidence+chance)*before
}

func mean(x []float64) (m float64) {
	for _, v := range x {
		m += v / float64(len(x))
	}
	return m
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
	slices.SortFunc(all, func(a, b Verdict) int {
		return cmp.Or(cmp.Compare(rank(a.Kind), rank(b.Kind)), cmp.Compare(b.Count, a.Count), cmp.Compare(a.Key.Entry, b.Key.Entry))
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
