// SPDX-License-Identifier: Apache-2.0

package goroutines

import "github.com/gmpulse/gmpulse/runtimeinfo"

//nolint:gochecknoglobals // the metrics of this package, which are constant
var (
	// The profile that people take by hand, as a timeline. Bounded to the largest groups and the suspects.
	groupSize = &runtimeinfo.Metric{Name: "gmpulse.goroutine_group.goroutines", Unit: "{goroutine}", Kind: runtimeinfo.KindGauge, Headline: true, Subsystem: runtimeinfo.SubsystemLeaks, Help: "Goroutines of the largest groups and of those that leak or are stuck, by what they wait for, where, and the function they began in. All groups of an incident have its site and its root span.", Keys: []string{"wait", "site", "entry", "verdict", "incident.site", "incident.root_span"}}
	// The one number to alert on.
	leakSuspects = &runtimeinfo.Metric{Name: "gmpulse.leak.suspects", Unit: "{group}", Kind: runtimeinfo.KindGauge, Headline: true, Subsystem: runtimeinfo.SubsystemLeaks, Help: "Groups of goroutines that leak or are stuck."}
	// Beyond doubt, where the runtime can prove it.
	leakedGoroutines = &runtimeinfo.Metric{Name: "gmpulse.leaked_goroutines", Unit: "{goroutine}", Kind: runtimeinfo.KindGauge, Fault: true, Subsystem: runtimeinfo.SubsystemLeaks, Help: "Goroutines that the garbage collector has proved leaked."}
	// Without surveys there are no verdicts: silence must not look like health.
	surveys        = &runtimeinfo.Metric{Name: "gmpulse.surveys", Unit: "{survey}", Kind: runtimeinfo.KindCounter, Subsystem: runtimeinfo.SubsystemLeaks, Help: "Surveys of all goroutines taken."}
	surveysSkipped = &runtimeinfo.Metric{Name: "gmpulse.surveys_skipped", Unit: "{survey}", Kind: runtimeinfo.KindCounter, Fault: true, Subsystem: runtimeinfo.SubsystemLeaks, Help: "Surveys left out because they would have cost too much."}
	// Recordings are the evidence of verdicts: where they fail, no group is reported as a leak without a proof.
	recordings       = &runtimeinfo.Metric{Name: "gmpulse.goroutine_recordings", Unit: "{recording}", Kind: runtimeinfo.KindCounter, Subsystem: runtimeinfo.SubsystemLeaks, Help: "Recordings made to see whether the goroutines of suspicious groups run."}
	recordingsFailed = &runtimeinfo.Metric{Name: "gmpulse.goroutine_recordings_failed", Unit: "{recording}", Kind: runtimeinfo.KindCounter, Fault: true, Subsystem: runtimeinfo.SubsystemLeaks, Help: "Recordings of goroutines that could not be made."}
)

// Metrics returns the metrics that Analyze adds.
func (*Detector) Metrics() []*runtimeinfo.Metric {
	return []*runtimeinfo.Metric{groupSize, leakSuspects, leakedGoroutines, surveys, surveysSkipped, recordings, recordingsFailed}
}

// Analyze adds the largest groups, the totals and the events since the last call to a
// snapshot. It does not wait for a survey.
func (d *Detector) Analyze(draft *runtimeinfo.Draft) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range d.found.groups {
		g := &d.found.groups[i]
		draft.Add(groupSize, float64(g.goroutines), g.wait, g.site, g.entry, g.verdict, g.incidentSite, g.incidentRoot)
	}
	draft.Add(leakSuspects, float64(d.found.suspects))
	draft.Add(leakedGoroutines, float64(d.found.leaked))
	draft.Add(surveys, float64(d.taken))
	draft.Add(surveysSkipped, float64(d.skipped))
	draft.Add(recordings, float64(d.recorded))
	draft.Add(recordingsFailed, float64(d.recordFailed))
	draft.Events = append(draft.Events, d.events...)
	d.events = nil
}

// publishedGroups is the number of largest groups that are published.
const publishedGroups = 20

// findings is what Analyze publishes of a survey.
type findings struct {
	groups   []largeGroup
	suspects int // groups that leak or are stuck
	leaked   int // goroutines that the garbage collector has proved leaked
}

// largeGroup is one of the largest groups of goroutines.
type largeGroup struct {
	wait, site, entry, verdict string
	incidentSite, incidentRoot string // "" if the group is in no incident
	goroutines                 int
}

// findings returns what Analyze publishes of the newest survey: the top largest groups, and as many
// smaller ones that leak or are stuck.
func (t *groupTracker) findings(top int) (f findings) {
	for _, o := range t.open {
		if o.leader == nil {
			f.leaked += o.Leaked
			if o.Kind.Suspect() {
				f.suspects++
			}
		}
	}
	for i := range t.newest.Groups {
		if len(f.groups) >= 2*top {
			break
		}
		g := &t.newest.Groups[i]
		o := t.open[g.Key]
		if i >= top && (o == nil || !o.Kind.Suspect()) {
			continue
		}
		f.groups = append(f.groups, newLargeGroup(g, o))
	}
	return f
}

// newLargeGroup returns what is published of a group. o is nil if the group has no verdict.
func newLargeGroup(g *Group, o *openVerdict) largeGroup {
	l := largeGroup{wait: g.Class.String(), site: g.Site.String(), entry: g.Entry, goroutines: g.Count}
	if o != nil {
		l.verdict = string(o.Kind)
		if o.incident != nil {
			l.incidentSite, l.incidentRoot = o.incident.site, o.incident.root
		}
	}
	return l
}
