// SPDX-License-Identifier: Apache-2.0

package goroutines

import (
	"cmp"
	"log/slog"
	"strconv"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// incident is an alarm that was reported. Verdicts that once had one cause share an incident until
// the last of them is closed, so that no change of their leader reports it again.
type incident struct {
	id         string
	since      time.Time
	site, root string
	worst      Kind // reported so far
	size       int  // goroutines of the leading verdict when it was last reported
}

// report joins the verdicts that have one cause into incidents, and makes events of new ones.
func (t *groupTracker) report(in *circumstances) {
	t.joinIncidents()
	all := t.ordered()
	for _, o := range all { // a new leader continues the incident of its followers
		if o.leader != nil && o.leader.incident == nil && o.Kind.Suspect() {
			o.leader.incident = o.incident
		}
	}
	for _, o := range all {
		switch {
		case o.Kind.Suspect() && o.leader != nil:
			t.continueIncident(o, o.leader, in.now)
		case o.Kind.Suspect():
			t.reportIncident(o, in.now)
		case o.Kind != Growing && o.leader == nil && !o.reported:
			o.reported = true
			t.pending = append(t.pending, o.event("goroutine.verdict.opened", in.now))
		}
	}
}

// reportIncident makes an event if the alarm of a leading verdict is new or worse.
func (t *groupTracker) reportIncident(o *openVerdict, now time.Time) {
	o.reported = true
	i := o.incident
	switch {
	case i == nil:
		t.reports++
		o.incident = &incident{id: "goroutines-" + strconv.Itoa(t.reports), since: now, site: cmp.Or(o.Where, o.Key.Site).String(), worst: o.Kind}
		if len(o.Roots) > 0 {
			o.incident.root = o.Roots[0].Name
		}
		t.emitIncident(o, "goroutine.verdict.opened", runtimeinfo.IncidentOpened, now)
	case rank(o.Kind) < rank(i.worst):
		t.emitIncident(o, "goroutine.verdict.opened", runtimeinfo.IncidentWorsened, now)
	case o.Count >= 2*i.size:
		t.emitIncident(o, "goroutine.verdict.doubled", runtimeinfo.IncidentWorsened, now)
	}
}

// continueIncident makes o a part of the incident of its leader. If o was reported as another
// incident, that one is closed.
func (t *groupTracker) continueIncident(o, lead *openVerdict, now time.Time) {
	was := o.incident
	if o.incident = lead.incident; was == nil || was == lead.incident {
		return
	}
	for _, other := range t.open {
		if other.incident == was {
			other.incident = lead.incident
		}
	}
	joined := openVerdict{Verdict: o.Verdict, incident: was}
	joined.Evidence = "it has the same cause as the incident at " + lead.incident.site
	t.emitIncident(&joined, "goroutine.verdict.joined", runtimeinfo.IncidentClosed, now)
}

// goesOn reports whether an open verdict belongs to an incident.
func (t *groupTracker) goesOn(i *incident) bool {
	for _, o := range t.open {
		if o.incident == i {
			return true
		}
	}
	return false
}

// emitIncident makes an event of the incident of a verdict.
func (t *groupTracker) emitIncident(o *openVerdict, name string, phase runtimeinfo.IncidentPhase, now time.Time) {
	i := o.incident
	e := o.event(name, now)
	if phase == runtimeinfo.IncidentClosed {
		e.Severity = slog.LevelInfo
	} else {
		i.size = max(1, o.Count)
		if rank(o.Kind) < rank(i.worst) {
			i.worst = o.Kind
		}
		e.Severity = i.worst.severity()
	}
	e.Incident = &runtimeinfo.Incident{
		ID: i.id, Phase: phase, Since: i.since, Kind: string(alarmOf(i.worst)), Site: i.site, Root: i.root,
		Size: float64(o.Count), Unit: "{goroutine}", Evidence: o.Evidence, Hint: o.Hint,
	}
	t.pending = append(t.pending, e)
}
