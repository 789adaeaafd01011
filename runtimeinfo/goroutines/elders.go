package goroutines

import "time"

// turnover says what became of members that had outlived their spans.
type turnover int

const (
	notKnown turnover = iota
	// they stay, as who leaks does.
	stay
	// they leave in the end: connections, sessions, calls of somebody slow.
	leave
	// joined: there are more now than there were, though their spans began long ago. A
	// goroutine that lives on has started them, and the label tells nothing of their age.
	joined
)

// elders are the members of a group that had outlived their spans at one moment, by
// the labels that tell. It is what a roll call is for goroutines without labels, and
// costs nothing.
type elders struct {
	since  time.Time
	counts map[origin]int
	first  int
	was    turnover // when that was last known
}

const (
	// The same ones are watched for an hour: a tenth of those who stay for nine hours
	// has left by then. Where their like are twice as many soon, for ten minutes: who
	// came first may be unlike the rest.
	eldersFor, eldersAtLeast = time.Hour, 10 * time.Minute
	// It takes so long to say that members stay where others left before.
	doubtFor = 5 * time.Minute
)

// follow keeps the elders of a group and tells what becomes of them.
func (t *track) follow(g *Group, a *ageing, now time.Time, r *rules) turnover {
	if g.OtherBirths > 0 {
		t.elders = nil // who is not listed need not have left
		return notKnown
	}
	was := notKnown
	if t.elders != nil {
		t.elders.compare(g, now, rollSlots*r.slot)
		was = t.elders.was
	}
	if t.elders.areDue(a.outlived, now) {
		t.elders = nil
		if a.outlived >= r.minGrowth {
			t.elders = &elders{since: now, counts: a.elders, first: a.outlived, was: was}
		}
	}
	return was
}

// areDue tells whether others should be watched from now on.
func (e *elders) areDue(outlived int, now time.Time) bool {
	if e == nil {
		return true
	}
	watched := now.Sub(e.since)
	return watched > eldersFor || watched > eldersAtLeast && outlived >= 2*e.first
}

// compare looks who is still there, once it is long enough ago.
func (e *elders) compare(g *Group, now time.Time, apart time.Duration) {
	watched := now.Sub(e.since)
	if watched < apart {
		return
	}
	s, more := survival{first: e.first}, 0
	for _, b := range g.Births {
		if n, ok := e.counts[origin{b.Root, b.Epoch}]; ok {
			s.again += min(n, b.Count)
			more += max(0, b.Count-n)
		}
	}
	const some = 0.1
	switch {
	case float64(more) > some*float64(e.first):
		e.was = joined
	case !s.stay():
		e.was = leave
	case e.was == notKnown || watched > doubtFor:
		e.was = stay
	}
}

// refuted tells that a group is no leak though its members outlive their spans.
func (t *track) refuted() bool { return t.elders != nil && t.elders.was == leave }
