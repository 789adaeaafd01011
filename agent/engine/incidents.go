// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"cmp"
	"log/slog"
	"slices"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// maxIncidents limits the incidents that are closed at the end. Analyzers have far fewer at a time.
const maxIncidents = 256

// incidents are the open incidents, in the order in which they were opened.
type incidents struct {
	open []*runtimeinfo.Incident
}

// add follows the incidents of events.
func (x *incidents) add(events []runtimeinfo.Event) {
	for i := range events {
		n := events[i].Incident
		if n == nil {
			continue
		}
		at := slices.IndexFunc(x.open, func(o *runtimeinfo.Incident) bool { return o.ID == n.ID })
		switch {
		case n.Phase == runtimeinfo.IncidentClosed && at >= 0:
			x.open = slices.Delete(x.open, at, at+1)
		case n.Phase == runtimeinfo.IncidentClosed:
		case at >= 0:
			x.open[at] = n
		case len(x.open) < maxIncidents:
			x.open = append(x.open, n)
		}
	}
}

// addTo adds the size of each open incident to a draft. Incidents with the same labels are one
// series, with the size of the oldest of them.
func (x *incidents) addTo(d *runtimeinfo.Draft) {
	for i, o := range x.open {
		same := func(p *runtimeinfo.Incident) bool {
			return p.Kind == o.Kind && p.Site == o.Site && p.Root == o.Root && p.Signal == o.Signal
		}
		if !slices.ContainsFunc(x.open[:i], same) {
			d.Add(incidentSizeMetric, o.Size, o.Kind, o.Site, o.Root, o.Signal)
		}
	}
}

// closeAll adds an event to the last snapshot for each open incident, which closes it.
func (x *incidents) closeAll(s *runtimeinfo.Snapshot) *runtimeinfo.Snapshot {
	if len(x.open) == 0 {
		return s
	}
	events := slices.Clip(s.Events)
	for _, o := range x.open {
		n := *o
		n.Phase, n.Evidence = runtimeinfo.IncidentClosed, "the agent stops"
		events = append(events, runtimeinfo.Event{
			Time: s.Time, Name: "incident.open_at_stop", Severity: slog.LevelInfo, Incident: &n,
			Message: n.Kind + " of " + cmp.Or(n.Site, n.Signal) + ": the incident is open while the agent stops",
			Attrs:   []slog.Attr{slog.String("kind", n.Kind), slog.Time("since", n.Since)},
		})
	}
	x.open = nil
	last := s.WithEvents(events)
	last.Incidents = nil
	return last
}
