// SPDX-License-Identifier: Apache-2.0

package tracectx

import (
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// Activity is what [Processor.Observe] returns: the local root spans at one moment.
type Activity struct {
	// Active are the oldest active local root spans, oldest first, at most
	// [runtimeinfo.MaxSpans].
	Active []runtimeinfo.Span
	// Groups has one entry per root-span name. Their number is bounded.
	Groups []runtimeinfo.SpanGroup
	// Cumulative counts of local root spans: started and ended ones, ones that
	// found no room in the table, and ones given up as never ended.
	Started, Ended, Untracked, NeverEnded uint64
	// ActiveInner and EndedInner count those of the active and of the ended ones that
	// began inside another root because the context was lost on the way. They are part of
	// a request, not requests of their own.
	ActiveInner int
	EndedInner  uint64
	// Events since the last observation.
	Events []runtimeinfo.Event
}

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
	d.Spans, d.SpanGroups = a.Active, a.Groups
	d.Events = append(d.Events, a.Events...)
	for i := range a.Groups {
		g := &a.Groups[i]
		d.Add(activeSpans, float64(g.Active), g.Name)
		if g.Active > 0 {
			d.Add(oldestAge, max(0, seconds(now, g.Oldest)), g.Name)
		}
	}
	d.Add(startedSpans, float64(a.Started))
	d.Add(endedSpans, float64(a.Ended))
	d.Add(untrackedSpans, float64(a.Untracked))
	d.Add(neverEndedSpans, float64(a.NeverEnded))
	p.bodies.addTo(d, p.fullName)
	p.inner.active.Store(int64(a.ActiveInner))
	p.inner.ended.Store(a.EndedInner)
}

// Inner returns the numbers of spans that the last Analyze found to be part of another
// root, see [Activity].
func (p *Processor) Inner() (active int, ended uint64) {
	return int(p.inner.active.Load()), p.inner.ended.Load()
}

func seconds(now, start time.Time) float64 { return now.Sub(start).Seconds() }
