// SPDX-License-Identifier: Apache-2.0

package capacity

import (
	"runtime"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

//nolint:gochecknoglobals // the metrics of this package, which are constant
var (
	// Shows the cost of a request, for example before and after a release.
	cpuPerRequest = &runtimeinfo.Metric{Name: "gmpulse.capacity.cpu_per_request", Unit: "s", Kind: runtimeinfo.KindGauge, Subsystem: runtimeinfo.SubsystemCapacity, Help: "CPU time that one more request (root span) costs, on average over the present mix; absent while unknown."}
	// The cost of an instance without requests.
	background = &runtimeinfo.Metric{Name: "gmpulse.capacity.background", Unit: "{cpu}", Kind: runtimeinfo.KindGauge, Subsystem: runtimeinfo.SubsystemCapacity, Detail: true, Help: "CPUs in use without any request; absent while unknown."}
	// Latency grows as 1/(1-saturation), so that requests queue above 0.8.
	saturation = &runtimeinfo.Metric{Name: "gmpulse.capacity.saturation", Unit: "1", Kind: runtimeinfo.KindGauge, Ranged: true, Headline: true, Subsystem: runtimeinfo.SubsystemCapacity, Help: "Share of the usable CPU (the least of GOMAXPROCS, affinity and quota, minus the use by other processes) that is used."}
	// Determines the number of instances.
	limit = &runtimeinfo.Metric{Name: "gmpulse.capacity.limit", Unit: "{request}/s", Kind: runtimeinfo.KindGauge, Subsystem: runtimeinfo.SubsystemCapacity, Help: "Requests (root spans) per second at which the usable CPU is used up; absent while unknown."}
	// An alert on it fires before requests become slow.
	headroom = &runtimeinfo.Metric{Name: "gmpulse.capacity.headroom", Unit: "{request}/s", Kind: runtimeinfo.KindGauge, Headline: true, Subsystem: runtimeinfo.SubsystemCapacity, Help: "Requests (root spans) per second that may be added until 80 % of the usable CPU is used; negative if more is used; absent while unknown."}
	// Shows how far to trust the limit.
	confidence = &runtimeinfo.Metric{Name: "gmpulse.capacity.confidence", Unit: "1", Kind: runtimeinfo.KindGauge, Subsystem: runtimeinfo.SubsystemCapacity, Help: "Probability that the limit is within 15 % of the true one; below 0.5 the limit is absent."}
	// The reason if the limit is absent.
	state = &runtimeinfo.Metric{Name: "gmpulse.capacity.state", Unit: "", Kind: runtimeinfo.KindGauge, FixedLabels: true, Subsystem: runtimeinfo.SubsystemCapacity, Detail: true, Help: "1 for the state of the estimate: learning, known, uncertain, or waiting (requests queue for something other than CPU); 0 for the other states.", Keys: []string{"state"}}
)

// Metrics returns the metrics that Analyze adds.
func (*Estimator) Metrics() []*runtimeinfo.Metric {
	return []*runtimeinfo.Metric{cpuPerRequest, background, saturation, limit, headroom, confidence, state}
}

// Analyze observes the snapshot and adds the newest estimate to it.
func (e *Estimator) Analyze(d *runtimeinfo.Draft) {
	c := e.Observe(d.Snapshot(), runtime.GOMAXPROCS(0))
	if c == nil {
		return
	}
	d.Add(cpuPerRequest, c.CPUPerRequest)
	d.Add(background, c.Background)
	d.Add(saturation, c.Saturation)
	d.Add(limit, c.Limit)
	d.Add(headroom, c.Headroom)
	d.Add(confidence, c.Confidence)
	for _, s := range []State{Learning, Known, Uncertain, Waiting} { // each state is a continuous series
		v := 0.0
		if s == c.State {
			v = 1
		}
		d.Add(state, v, string(s))
	}
}
