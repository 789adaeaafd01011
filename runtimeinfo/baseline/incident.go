// SPDX-License-Identifier: Apache-2.0

package baseline

import (
	"cmp"
	"log/slog"
	"slices"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

const (
	// reopenTime is how long after its end an incident may reopen.
	reopenTime = 2 * time.Minute
	// joinTime is how long after the last alarm another one joins without an event.
	joinTime = 5 * time.Minute
)

// incident groups the alarms that are active at the same time into one event.
type incident struct {
	open     bool
	began    time.Time // the earliest beginning of its parts
	ended    time.Time
	raised   time.Time // the latest alarm
	leading  *tracker
	parts    []*tracker // in the order of their alarms
	opening  []*tracker // raised at this tick
	adopted  []*tracker // adopted a new normal at this tick
	rescaled []*tracker // changed their unit at this tick

	reports int                   // number of incidents that were reported
	report  *runtimeinfo.Incident // the reported incident that has not been closed; nil if none
	about   *tracker              // the signal of report
}

// add records the transition of one signal at this tick.
func (i *incident) add(t *tracker, c transition) {
	switch c {
	case raised:
		i.opening = append(i.opening, t)
	case adopted:
		i.adopted = append(i.adopted, t)
	case rescaled:
		i.rescaled = append(i.rescaled, t)
	case unchanged, cleared:
	}
}

// events returns the events of this tick.
func (i *incident) events(w *Watch) (events []runtimeinfo.Event) {
	now := w.input.now
	if i.report != nil && !i.open && now.Sub(i.ended) >= reopenTime {
		events = append(events, i.endReport(w))
	}
	if len(i.opening) > 0 {
		events = i.raise(w, events)
	}
	for _, t := range i.adopted {
		events = append(events, t.normalEvent(now))
	}
	for _, t := range i.rescaled {
		events = append(events, t.rescaledEvent(now))
	}
	if i.open && !slices.ContainsFunc(i.parts, func(t *tracker) bool { return t.cause != causeNone }) {
		i.open, i.ended = false, now
		events = append(events, i.closedEvent(now))
	}
	i.opening, i.adopted, i.rescaled = i.opening[:0], i.adopted[:0], i.rescaled[:0]
	return events
}

// raise opens the incident or adds signals to it. There is one event for signals that are
// raised within joinTime of each other or return. A later signal of another group has an
// event of its own.
func (i *incident) raise(w *Watch, events []runtimeinfo.Event) []runtimeinfo.Event {
	slices.SortStableFunc(i.opening, func(a, b *tracker) int { return cmp.Compare(b.strength(), a.strength()) })
	now, first := w.input.now, i.opening[0]
	reopens := !i.open && !i.ended.IsZero() && now.Sub(i.ended) < reopenTime && slices.ContainsFunc(i.opening, i.has)
	report := i.open && now.Sub(i.raised) > joinTime && !slices.ContainsFunc(i.opening, i.hasGroupOf)
	if !i.open && !reopens {
		if i.report != nil {
			events = append(events, i.endReport(w))
		}
		i.leading, i.parts, i.began = first, nil, first.alarmBegan
		report = true
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
	case report:
		return append(events, i.openedEvent(w))
	case reopens:
		return append(events, w.event("baseline.anomaly.reopened", slog.LevelInfo, first.explain(w), first))
	default:
		return events
	}
}

func (i *incident) has(t *tracker) bool { return slices.Contains(i.parts, t) }

func (i *incident) hasGroupOf(t *tracker) bool {
	return slices.ContainsFunc(i.parts, func(p *tracker) bool { return p.group == t.group })
}

// strength is the residual relative to the band. The strongest signal leads an incident.
func (t *tracker) strength() float64 {
	switch t.cause {
	case causeCeiling:
		return 1e9
	case causeCreep:
		return t.slow.residual / max(t.creep, t.upper)
	default:
		return t.fast.residual / max(t.tolerance, t.upper)
	}
}

// rising returns the signals that are not in alarm yet but probably part of the incident.
func rising(trackers []*tracker) (found []*tracker) {
	for _, t := range trackers {
		if t.cause == causeNone && !t.learning() && t.fast.residual > t.tolerance && t.fast.odds < usualShare/5 {
			found = append(found, t)
		}
	}
	return found
}
