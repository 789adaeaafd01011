package goroutines

import (
	"fmt"
	"math"
	"slices"
	"time"
)

const (
	// Members from one or two epochs are a pool that was filled once; a leak has
	// members from many.
	minOldEpochs = 3
	// At a steady load the ratio of members to creations may vary by so much.
	steadyResidence = 1.25
	// A group that has doubled, and gained this many times the least growth, since
	// its floor of the last minute has burst.
	burst = 10
)

// staysConnected tells a handler that lasts as long as its connection (a stream,
// a web socket) from one that is stuck: nothing is known of spans like its own
// that ended sooner, and it does not wait for a lock.
func staysConnected(g *Group, a *ageing) bool {
	return servesConnection(g.Entry) && !a.usual && g.Class.Family() != FamilyLock
}

// weigh sets growth against age, for a group that is not known by its frames.
func (c *casebook) weigh(s *Survey, g *Group, t *track, a *ageing, in *circumstances, level int, growing, background bool) (Kind, string) {
	open := a.old > 0 && 5*a.stillOpen >= 4*a.old && !background && a.turnover != joined
	switch {
	case open && a.old >= c.rules.minGrowth && 2*a.old >= g.Count:
		if !a.usual && c.accompanies(s, g, a, in) {
			return weighCompanions(growing)
		}
		return Stuck, fmt.Sprintf("%d have waited more than %v, and their spans are still open", a.old, a.threshold.Round(time.Millisecond))
	case open:
		return "", "" // too early to tell
	case !growing:
		return c.weighBurst(g, t)
	}
	if g.labelled() && a.turnover != joined {
		if a.outlived > 0 && c.accompanies(s, g, a, in) {
			return weighCompanions(growing)
		}
		return c.weighLabelled(g, t, a, level, background)
	}
	return c.weighUnlabelled(g, t, level, in.now)
}

// accompanies tells that half as many handlers of connections are as old as the
// members of a group, under the same roots: one or two belong to each of them.
func (c *casebook) accompanies(s *Survey, g *Group, a *ageing, in *circumstances) bool {
	if g.Class.Family() == FamilyLock || servesConnection(g.Entry) {
		return false
	}
	roots := map[string]bool{}
	for _, b := range g.Births {
		roots[b.Root] = true
	}
	var handlers Group
	for i := range s.Groups {
		if servesConnection(s.Groups[i].Entry) {
			for _, b := range s.Groups[i].Births {
				if roots[b.Root] {
					handlers.Births = append(handlers.Births, b)
				}
			}
		}
	}
	return 2*c.ages(&handlers, in).old >= a.old
}

// weighCompanions speaks of goroutines beside handlers that last as long as their
// connection.
func weighCompanions(growing bool) (Kind, string) {
	if !growing {
		return "", ""
	}
	return Connections, "their handlers last as long as a connection, and so do they"
}

// weighLabelled speaks of a group that grows and was created under spans.
func (c *casebook) weighLabelled(g *Group, t *track, a *ageing, level int, background bool) (Kind, string) {
	longer := c.residenceRises(t, level)
	switch {
	case background && !longer: // a pool of connections outlives whoever opened them
	case a.turnover == leave && g.Class.Family() == FamilyIO:
		return Connections, "members outlive their spans, and end in the end"
	case a.turnover == leave:
	case a.epochs >= minOldEpochs && 4*a.outlived >= g.Count:
		return Leak, fmt.Sprintf("%d have outlived their spans by far: they are older than %v, from %d different times", a.outlived, a.threshold.Round(time.Millisecond), a.epochs)
	case a.old > 0:
		return "", "" // too early to tell
	}
	if longer {
		return Pressure, "members come and go, but each stays longer than before: something they wait for is slow"
	}
	return Load, "members come and go as before, only more of them"
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
// span. Two roll calls tell whether the members stay. Without them there is only
// the shape: a leak never falls, and does not follow the load.
func (c *casebook) weighUnlabelled(g *Group, t *track, level int, now time.Time) (Kind, string) {
	if g.Class == Running {
		return Pressure, "they are ready to run and wait for a processor"
	}
	survivors, known := c.cohorts.of(g.Key, now, c.apart())
	if known && survivors.stay() {
		return c.weighStaying(g, survivors)
	}
	if !c.residenceRises(t, level) {
		return Load, "it grows as the creation of goroutines does"
	}
	x := t.levels[level].series()
	switch {
	case known:
		return Pressure, "members come and go, but each stays longer than before: something they wait for is slow"
	case !c.rolling && neverFalls(x) && len(x) == slots:
		return Leak, "suspected: it never fell, and it grows faster than goroutines are created; its members were not created under a span, so their age is not known"
	default:
		c.asks = c.rollable // it may end, or the next roll call tells
		return "", ""
	}
}

// weighStaying speaks of a group without labels that grows and that nobody leaves.
func (c *casebook) weighStaying(g *Group, s survival) (Kind, string) {
	evidence := fmt.Sprintf("%v that were seen %v before are still there; they were not created under a span", s, c.cohorts.since.Round(time.Millisecond))
	if g.Class.Family() == FamilyIO {
		return Connections, evidence // whoever serves connections without spans waits for each peer so
	}
	return Leak, evidence
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
