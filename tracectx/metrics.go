// SPDX-License-Identifier: Apache-2.0

package tracectx

import "github.com/gmpulse/gmpulse/runtimeinfo"

//nolint:gochecknoglobals // the metrics of this package, which are constant
var (
	// Requests in flight by endpoint: which one do the goroutines belong to?
	activeSpans = &runtimeinfo.Metric{Name: "gmpulse.root_span.active", Unit: "{span}", Kind: runtimeinfo.KindUpDownCounter, Ranged: true, Headline: true, Subsystem: runtimeinfo.SubsystemSpans, Help: "Active local root spans by name.", Keys: []string{"span.name"}}
	// An age that grows with the clock is a request that hangs.
	oldestAge = &runtimeinfo.Metric{Name: "gmpulse.root_span.oldest_age", Unit: "s", Kind: runtimeinfo.KindGauge, Subsystem: runtimeinfo.SubsystemSpans, Help: "Age of the oldest active local root span by name.", Keys: []string{"span.name"}}
	// The load that everything else is to be read against.
	startedSpans = &runtimeinfo.Metric{Name: "gmpulse.root_spans.started", Unit: "{span}", Kind: runtimeinfo.KindCounter, Subsystem: runtimeinfo.SubsystemSpans, Help: "Local root spans started.", Headline: true}
	endedSpans   = &runtimeinfo.Metric{Name: "gmpulse.root_spans.ended", Unit: "{span}", Kind: runtimeinfo.KindCounter, Subsystem: runtimeinfo.SubsystemSpans, Help: "Local root spans ended."}
	// Above zero the two metrics by name are too low.
	untrackedSpans = &runtimeinfo.Metric{Name: "gmpulse.root_spans.untracked", Unit: "{span}", Kind: runtimeinfo.KindCounter, Fault: true, Subsystem: runtimeinfo.SubsystemSpans, Help: "Local root spans that found no room in the table of active spans."}
	// A missing defer span.End(): the trace backend never receives that span.
	neverEndedSpans = &runtimeinfo.Metric{Name: "gmpulse.root_spans.never_ended", Unit: "{span}", Kind: runtimeinfo.KindCounter, Fault: true, Subsystem: runtimeinfo.SubsystemSpans, Help: "Local root spans given up after their time to live."}
	// Unclosed bodies hold connections and goroutines: which endpoint, which line?
	openBodies = &runtimeinfo.Metric{Name: "gmpulse.http_client.open_bodies", Unit: "{body}", Kind: runtimeinfo.KindUpDownCounter, Ranged: true, Subsystem: runtimeinfo.SubsystemSpans, Help: "Response bodies of HTTP clients that are neither closed nor read to their end, by root span and line. Only of clients with Transport.", Keys: []string{"span.name", "site"}}
	// A stream is old; that the age grows with the clock at a line without streams is a missing Close.
	oldestBody = &runtimeinfo.Metric{Name: "gmpulse.http_client.oldest_body_age", Unit: "s", Kind: runtimeinfo.KindGauge, Subsystem: runtimeinfo.SubsystemSpans, Help: "Time since the response of the oldest open body, by root span and line.", Keys: []string{"span.name", "site"}}
	// Proved by the garbage collector: no stream is among them.
	lostBodies = &runtimeinfo.Metric{Name: "gmpulse.http_client.lost_bodies", Unit: "{body}", Kind: runtimeinfo.KindUpDownCounter, Fault: true, Subsystem: runtimeinfo.SubsystemSpans, Help: "Open bodies that no code can reach any more, so that they are never closed, by root span and line.", Keys: []string{"span.name", "site"}}
	// Above zero the numbers of bodies are too low.
	untrackedBodies = &runtimeinfo.Metric{Name: "gmpulse.http_client.untracked_bodies", Unit: "{body}", Kind: runtimeinfo.KindCounter, Fault: true, Subsystem: runtimeinfo.SubsystemSpans, Help: "Response bodies that were not counted because 16,384 were open."}
)

// Metrics returns the metrics that Analyze adds.
func (*Processor) Metrics() []*runtimeinfo.Metric {
	return []*runtimeinfo.Metric{activeSpans, oldestAge, startedSpans, endedSpans, untrackedSpans, neverEndedSpans, openBodies, oldestBody, lostBodies, untrackedBodies}
}

// Analyze observes the spans and adds them, the numbers of open bodies of [Processor.Transport],
// and the events of both to a snapshot.
func (p *Processor) Analyze(d *runtimeinfo.Draft) {
	now := d.Snapshot().Time
	a := p.Observe(now)
	d.SetSpans(a.Active, a.Groups)
	d.AddEvents(a.Events...)
	for i := range a.Groups {
		g := &a.Groups[i]
		d.Add(activeSpans, float64(g.Active), g.Name)
		if g.Active > 0 {
			d.Add(oldestAge, max(0, now.Sub(g.Oldest).Seconds()), g.Name)
		}
	}
	d.Add(startedSpans, float64(a.Started))
	d.Add(endedSpans, float64(a.Ended))
	d.Add(untrackedSpans, float64(a.Untracked))
	d.Add(neverEndedSpans, float64(a.NeverEnded))
	p.bodies.addTo(d, p.fullName)
}

// Inner returns how many of the active and of the ended local root spans of the last
// observation began inside another root because the context was lost on the way. They are
// part of a request, not requests of their own.
func (p *Processor) Inner() (active int, ended uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.observer.activeInner, p.observer.endedInner
}
