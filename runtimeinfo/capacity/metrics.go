// SPDX-License-Identifier: Apache-2.0

package capacity

import (
	"runtime"
	"time"

	"github.com/gmpulse/gmpulse/internal/hostfield"
	"github.com/gmpulse/gmpulse/runtimeinfo"
	"github.com/gmpulse/gmpulse/runtimeinfo/host"
)

// Input is what an [Estimator] learns from at one tick.
type Input struct {
	Time time.Time
	// Host is the newest host pass, nil before the first; HostAge is its age.
	Host    *host.Sample
	HostAge time.Duration
	// Spans are the local root spans, nil where none are observed.
	Spans *Spans
}

// Spans are the local root spans at one tick. Ended, EndedInner and Untracked are
// cumulative.
type Spans struct {
	Ended, EndedInner, Untracked uint64
	ActiveInner                  int
	Groups                       []runtimeinfo.SpanGroup
}

//nolint:gochecknoglobals // the metrics of this package, which are constant
var (
	// What a request costs: a release that doubles it halves the fleet.
	cpuPerRequest = &runtimeinfo.Metric{Name: "gmpulse.capacity.cpu_per_request", Unit: "s", Kind: runtimeinfo.KindGauge, Subsystem: runtimeinfo.SubsystemCapacity, Help: "CPU time that one more request (root span) costs, on average over the present mix; absent while unknown."}
	// The rest of the bill: what an instance costs before it serves anybody.
	background = &runtimeinfo.Metric{Name: "gmpulse.capacity.background", Unit: "{cpu}", Kind: runtimeinfo.KindGauge, Subsystem: runtimeinfo.SubsystemCapacity, Help: "CPUs in use without any request; absent while unknown."}
	// Latency grows as 1/(1-saturation): above 0.8 a queue is never far.
	saturation = &runtimeinfo.Metric{Name: "gmpulse.capacity.saturation", Unit: "1", Kind: runtimeinfo.KindGauge, Subsystem: runtimeinfo.SubsystemCapacity, Help: "Share of the usable CPU (the least of GOMAXPROCS, affinity and quota, less what neighbours take) that is used."}
	// The number to size a fleet by.
	limit = &runtimeinfo.Metric{Name: "gmpulse.capacity.limit", Unit: "{request}/s", Kind: runtimeinfo.KindGauge, Subsystem: runtimeinfo.SubsystemCapacity, Help: "Requests (root spans) per second at which the usable CPU is used up; absent while unknown."}
	// The number to alert on before customers notice.
	headroom = &runtimeinfo.Metric{Name: "gmpulse.capacity.headroom", Unit: "{request}/s", Kind: runtimeinfo.KindGauge, Subsystem: runtimeinfo.SubsystemCapacity, Help: "Requests (root spans) per second that may be added until 80 % of the usable CPU is used; below zero beyond it; absent while unknown."}
	// An estimate without its certainty is believed or ignored, both wrongly.
	confidence = &runtimeinfo.Metric{Name: "gmpulse.capacity.confidence", Unit: "1", Kind: runtimeinfo.KindGauge, Subsystem: runtimeinfo.SubsystemCapacity, Help: "Probability that the limit is within 15 % of the truth; below 0.5 the limit is absent."}
	// Why the limit is absent.
	state = &runtimeinfo.Metric{Name: "gmpulse.capacity.state", Unit: "", Kind: runtimeinfo.KindGauge, Subsystem: runtimeinfo.SubsystemCapacity, Help: "1 for what is known of the capacity: learning, known, uncertain, or waiting (requests queue for something other than CPU); 0 for the rest.", Keys: []string{"state"}}
)

// Metrics returns the metrics that Analyze adds.
func (*Estimator) Metrics() []*runtimeinfo.Metric {
	return []*runtimeinfo.Metric{cpuPerRequest, background, saturation, limit, headroom, confidence, state}
}

// Analyze observes the snapshot and adds the newest estimate to it.
func (e *Estimator) Analyze(d *runtimeinfo.Draft) {
	c := e.Observe(e.inputOf(d.Snapshot()), runtime.GOMAXPROCS(0))
	if c == nil {
		return
	}
	d.Add(cpuPerRequest, c.CPUPerRequest)
	d.Add(background, c.Background)
	d.Add(saturation, c.Saturation)
	d.Add(limit, c.Limit)
	d.Add(headroom, c.Headroom)
	d.Add(confidence, c.Confidence)
	for _, s := range []State{Learning, Known, Uncertain, Waiting} { // each is one unbroken series
		v := 0.0
		if s == c.State {
			v = 1
		}
		d.Add(state, v, string(s))
	}
}

// hostKeys are the metrics that the input is made of.
//
//nolint:gochecknoglobals // constant
var hostKeys = map[string]hostfield.Field{
	"process.cpu.time.user":              hostfield.ProcessCPUUser,
	"process.cpu.time.system":            hostfield.ProcessCPUSystem,
	"gmpulse.process.runqueue_wait.time": hostfield.ProcessRunQueueWait,
	"process.context_switches.voluntary": hostfield.ProcessContextSwitchesVoluntary,
	"gmpulse.cpu.usable":                 hostfield.CPUUsable,
	"system.cpu.time.user":               hostfield.SystemCPUUser,
	"system.cpu.time.nice":               hostfield.SystemCPUNice,
	"system.cpu.time.system":             hostfield.SystemCPUSystem,
	"system.cpu.time.idle":               hostfield.SystemCPUIdle,
	"system.cpu.time.iowait":             hostfield.SystemCPUIOWait,
	"system.cpu.time.interrupt":          hostfield.SystemCPUInterrupt,
	"system.cpu.time.steal":              hostfield.SystemCPUSteal,
}

// inputOf returns the input of a snapshot. Its host sample is a new one when there was a
// host pass since the last call.
func (e *Estimator) inputOf(s *runtimeinfo.Snapshot) *Input {
	in := &e.input
	in.Time, in.Spans = s.Time, nil
	if age, ok := s.Number("gmpulse.host.age"); ok {
		in.HostAge = time.Duration(age * float64(time.Second))
		pass := s.Time.Add(-in.HostAge)
		if diff := pass.Sub(e.pass); diff > time.Millisecond || diff < -time.Millisecond { // else it is the rounding of the age
			e.pass, in.Host = pass, host.NewSample()
			for key, field := range hostKeys {
				if v, ok := s.Number(key); ok {
					in.Host.Set(field, v)
				}
			}
		}
	}
	ended, ok := s.Number("gmpulse.root_spans.ended")
	if !ok {
		return in
	}
	untracked, _ := s.Number("gmpulse.root_spans.untracked")
	in.Spans = &Spans{Ended: uint64(ended), Untracked: uint64(untracked), Groups: s.SpanGroups}
	in.Spans.ActiveInner, in.Spans.EndedInner = e.inner()
	return in
}
