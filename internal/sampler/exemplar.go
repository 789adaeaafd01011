// SPDX-License-Identifier: Apache-2.0

package sampler

import (
	"math"
	"slices"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// takeExemplars makes a new exemplar for each counter and each histogram bucket that grew since the
// last snapshot. The others keep their exemplar, because scrapes are less frequent than ticks.
func (r *Reader) takeExemplars(of runtimeinfo.Exemplar) {
	for i := range r.values {
		v := &r.values[i]
		if h := v.histogram; h != nil {
			h.takeExemplars(&r.reading, of)
		} else if gained := v.gained(); gained > 0 {
			x := of
			x.Value = gained
			v.exemplar = &x
		}
	}
}

// gained returns the increase of a counter since the last snapshot, and 0 for metrics without
// exemplars: requests of this process do not explain the counters of the machine and the agent.
func (v *value) gained() float64 {
	if v.metric.Kind != runtimeinfo.KindCounter {
		return 0
	}
	switch v.metric.Subsystem {
	case runtimeinfo.SubsystemScheduler, runtimeinfo.SubsystemMemory, runtimeinfo.SubsystemGC,
		runtimeinfo.SubsystemCPU, runtimeinfo.SubsystemProcess, runtimeinfo.SubsystemContainer:
	default:
		return 0
	}
	gained := v.number - v.before
	if !(gained > 0) || math.IsInf(gained, 0) { // also if one of them is absent
		return 0
	}
	return gained
}

// takeExemplars replaces the exemplars of the buckets that grew. It copies the slice, because
// snapshots share it.
func (h *histogram) takeExemplars(in *reading, of runtimeinfo.Exemplar) {
	if h.window == nil {
		if v := in.sched.runnablePerP(); !math.IsNaN(v) {
			h.copyExemplars()
			h.setExemplar(v, of)
		}
		return
	}
	if h.window.total == 0 || h.Counts == nil {
		return
	}
	h.copyExemplars()
	last := -1
	for i, n := range slices.Backward(h.window.delta) { // the highest value of each bucket
		lo, hi := finite(h.window.bounds[i], h.window.bounds[i+1])
		v := lo + (hi-lo)/2
		if at := bucket(&h.Histogram, v); n > 0 && at != last {
			last = at
			h.setExemplar(v, of)
		}
	}
}

func (h *histogram) copyExemplars() {
	h.Exemplars = slices.Clone(h.Exemplars)
	if h.Exemplars == nil {
		h.Exemplars = make([]*runtimeinfo.Exemplar, len(h.Counts))
	}
}

// setExemplar sets the exemplar of the bucket that holds v.
func (h *histogram) setExemplar(v float64, of runtimeinfo.Exemplar) {
	of.Value = v
	h.Exemplars[bucket(&h.Histogram, v)] = &of
}
