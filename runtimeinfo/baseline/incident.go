// SPDX-License-Identifier: Apache-2.0

package baseline

import (
	"cmp"
	"log/slog"
	"slices"
	"sort"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

const (
	// lull is how long after its end an incident may come back.
	lull = 2 * time.Minute
	// together is how long after the last signal another one may join unannounced.
	together = 5 * time.Minute
)

// incident is what happens to the process: the alarms of all signals that are up
// together are one, and one event.
type incident struct {
	open     bool
	began    time.Time // the earliest of its parts
	ended    time.Time
	raised   time.Time // the last of its parts
	leading  *tracker
	parts    []*tracker // all that took part, in order of alarm
	opening  []*tracker // raised at this tick
	settled  []*tracker
	rescaled []*tracker
}

// note takes what a tick did to one signal.
func (i *incident) note(t *tracker, c change) {
	switch c {
	case raised:
		i.opening = append(i.opening, t)
	case settled:
		i.settled = append(i.settled, t)
	case rescaled:
		i.rescaled = append(i.rescaled, t)
	case unchanged, cleared:
	}
}

// conclude makes the events of a tick.
func (i *incident) conclude(w *Watch) (events []runtimeinfo.Event) {
	now := w.look.now
	if len(i.opening) > 0 {
		events = i.raise(w, events)
	}
	for _, t := range i.settled {
		events = append(events, t.normalEvent(now))
	}
	for _, t := range i.rescaled {
		events = append(events, t.rescaledEvent(now))
	}
	if i.open && !slices.ContainsFunc(i.parts, func(t *tracker) bool { return t.cause != byNothing }) {
		i.open, i.ended = false, now
		events = append(events, i.closedEvent(now))
	}
	i.opening, i.settled, i.rescaled = i.opening[:0], i.settled[:0], i.rescaled[:0]
	return events
}

// raise opens the incident, or lets the signals take part in the one that is. One
// event is made of what belongs together: signals that are up within minutes of each
// other, and signals that come back. What comes later and is of another group is
// news, though the incident is still open.
func (i *incident) raise(w *Watch, events []runtimeinfo.Event) []runtimeinfo.Event {
	slices.SortStableFunc(i.opening, func(a, b *tracker) int { return cmp.Compare(b.strength(), a.strength()) })
	now, first := w.look.now, i.opening[0]
	again := !i.open && !i.ended.IsZero() && now.Sub(i.ended) < lull && slices.ContainsFunc(i.opening, i.has)
	news := i.open && now.Sub(i.raised) > together && !slices.ContainsFunc(i.opening, i.hasGroupOf)
	if !i.open && !again {
		i.leading, i.parts, i.began = first, nil, first.alarmBegan
		news = true
	}
	i.open, i.raised = true, now
	for _, t := range i.opening {
		if !i.has(t) {
			i.parts = append(i.parts, t)
		}
		if t.alarmBegan.Before(i.began) {
			i.began = t.alarmBegan
		}
	}
	switch {
	case news:
		return append(events, i.openedEvent(w))
	case again:
		return append(events, w.event("baseline.anomaly.reopened", slog.LevelInfo, first.explain(w), first))
	default:
		return events
	}
}

func (i *incident) has(t *tracker) bool { return slices.Contains(i.parts, t) }

func (i *incident) hasGroupOf(t *tracker) bool {
	return slices.ContainsFunc(i.parts, func(p *tracker) bool { return p.group == t.group })
}

// strength says how far beyond its band a signal is, to name the leading one: the
// one that changed most for what is usual of it.
func (t *tracker) strength() float64 {
	if t.cause == byCeiling {
		return 1e9
	}
	if t.cause == byCreeping {
		return t.slowly.residual / max(t.creep, t.upper)
	}
	return t.opinion.residual / max(t.tolerance, t.upper)
}

// rising are the signals that are not in alarm but on their way: they belong to
// the same incident.
func rising(trackers []*tracker) (found []*tracker) {
	for _, t := range trackers {
		if t.cause == byNothing && !t.learning() && t.opinion.residual > t.tolerance && t.opinion.odds < usual/5 {
			found = append(found, t)
		}
	}
	return found
}

// groupLog remembers the largest groups of goroutines of a minute or two ago, to
// tell which have grown.
type groupLog struct {
	before, newer, now []runtimeinfo.GoroutineGroup
	turned             time.Time
}

func (g *groupLog) follow(f *runtimeinfo.Findings, now time.Time) {
	if f == nil {
		return
	}
	g.now = f.Groups
	if passed := now.Sub(g.turned); passed >= time.Minute || passed < 0 {
		g.before, g.newer, g.turned = g.newer, f.Groups, now
	}
}

// grown is a group of goroutines with how many more they are.
type grown struct {
	runtimeinfo.GoroutineGroup
	by int
}

// growth returns the groups that grew, most first, at most three.
func (g *groupLog) growth() (found []grown) {
	old := g.before
	if old == nil {
		old = g.newer
	}
	for _, n := range g.now {
		by := n.Goroutines
		for _, o := range old {
			if o.Wait == n.Wait && o.Site == n.Site && o.Entry == n.Entry {
				by -= o.Goroutines
			}
		}
		if least := max(5, n.Goroutines/10); by >= least {
			found = append(found, grown{n, by})
		}
	}
	sort.Slice(found, func(i, j int) bool { return found[i].by > found[j].by })
	return found[:min(3, len(found))]
}
