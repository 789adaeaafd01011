// SPDX-License-Identifier: Apache-2.0

package exectrace

import (
	"maps"
	"slices"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

//nolint:gochecknoglobals // the metrics of this package, which are constant
var (
	// What the time of each endpoint goes into; by duty cycle a sample of a thirtieth. Time
	// spent runnable is the machine's fault, not the code's.
	exactTime = &runtimeinfo.Metric{Name: "gmpulse.root_span.exact_time", Unit: "s", Kind: runtimeinfo.KindCounter, Subsystem: runtimeinfo.SubsystemSpans, Help: "Time of local root spans in execution traces, by name and by what it was spent with: running, runnable, syscall or blocked.", Keys: []string{"span.name", "state"}}
	// Missing data must not look like the absence of slow spans.
	executionTraces = &runtimeinfo.Metric{Name: "gmpulse.execution_traces", Unit: "{recording}", Kind: runtimeinfo.KindCounter, FixedLabels: true, Subsystem: runtimeinfo.SubsystemSpans, Detail: true, Help: "Execution traces recorded, by how that ended.", Keys: []string{"outcome"}}
	slowLookups     = &runtimeinfo.Metric{Name: "gmpulse.slow_spans", Unit: "{span}", Kind: runtimeinfo.KindCounter, FixedLabels: true, Subsystem: runtimeinfo.SubsystemSpans, Detail: true, Help: "Slow root spans that were looked for in execution traces.", Keys: []string{"outcome"}}
)

// Metrics returns the metrics that Analyze adds.
func (*Recorder) Metrics() []*runtimeinfo.Metric {
	return []*runtimeinfo.Metric{exactTime, executionTraces, slowLookups}
}

// Analyze adds the totals of all recordings and the events of slow spans to a snapshot.
// It takes a few microseconds.
func (r *Recorder) Analyze(d *runtimeinfo.Draft) {
	r.addTotals(d)
	for {
		select {
		case e := <-r.events:
			d.Events = append(d.Events, e)
		default:
			return
		}
	}
}

func (r *Recorder) addTotals(d *runtimeinfo.Draft) {
	r.statsMu.Lock()
	defer r.statsMu.Unlock()
	s := &r.stats
	d.Add(executionTraces, float64(s.Recordings), "read")
	d.Add(executionTraces, float64(s.Busy), "busy")
	d.Add(executionTraces, float64(s.TooMany), "too_many")
	d.Add(executionTraces, float64(s.Unreadable), "unreadable")
	d.Add(executionTraces, float64(s.StepsBack), "stepped_back")
	d.Add(slowLookups, float64(s.Slow), "explained")
	d.Add(slowLookups, float64(s.SlowMissed), "missed")
	for _, name := range slices.Sorted(maps.Keys(r.totals)) {
		p := &r.totals[name].Self
		d.Add(exactTime, p.Of(Running).Seconds(), name, Running.String())
		d.Add(exactTime, p.Of(Runnable).Seconds(), name, Runnable.String())
		d.Add(exactTime, p.Of(Syscall).Seconds(), name, Syscall.String())
		d.Add(exactTime, p.Blocked().Seconds(), name, "blocked")
	}
}
