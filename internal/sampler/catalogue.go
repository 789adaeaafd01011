// SPDX-License-Identifier: Apache-2.0

package sampler

import (
	"math"
	"slices"

	"github.com/gmpulse/gmpulse/internal/hostfield"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// row is a metric of the table and where its value comes from.
type row struct {
	runtimeinfo.Metric
	source *source
}

// table returns every metric once, ordered by subsystem. Related metrics are adjacent. The comment
// of a row gives its purpose. A row without Detail is in the default set, because a dashboard or an
// alert needs it continuously and no other row has it.
func table() []row {
	return slices.Concat(
		schedulerRows(), memoryRows(), gcRows(), cpuRows(),
		hostRows(hostfield.ProcessCPUUser, hostfield.ProcessRunQueueWait), // CPUUsable is a row of the scheduler
		hostRows(hostfield.CgroupCPUQuota, hostfield.SystemPressureIOFull),
	)
}

// Metrics returns new descriptions of every metric of the sampler, in order, whether or
// not this platform has it.
func Metrics() []*runtimeinfo.Metric {
	rows := table()
	all := make([]*runtimeinfo.Metric, len(rows))
	for i := range rows {
		m := rows[i].Metric
		all[i] = &m
	}
	return all
}

// in sets the subsystem of all rows.
func in(s runtimeinfo.Subsystem, rows []row) []row {
	for i := range rows {
		rows[i].Subsystem = s
	}
	return rows
}

func attr(key, value string) runtimeinfo.Attr { return runtimeinfo.Attr{Key: key, Value: value} }

// source is the origin of the value of a row. The functions below return the possible
// forms; each uses some of the fields.
type source struct {
	// runtime/metrics keys: (sum of add - sum of sub) / sum of over.
	add, sub, over []string

	// A runtime/metrics histogram: the histogram itself with bounds, or, if bounds is nil,
	// a quantile of the observations since the last tick.
	histogram string
	bounds    []float64
	quantile  float64

	pulses bool // the histogram of the pulses
	number func(*reading) float64
}

// rt sums runtime/metrics values.
func rt(keys ...string) *source { return &source{add: keys} }

// minus subtracts other runtime/metrics values. A negative difference becomes zero, because the
// runtime does not read all values at the same time.
func (s *source) minus(keys ...string) *source {
	s.sub = keys
	return s
}

// dividedBy divides by other runtime/metrics values. The value is absent if the divisor is zero.
func (s *source) dividedBy(keys ...string) *source {
	s.over = keys
	return s
}

// distribution publishes a runtime/metrics histogram with the bounds of durationBounds.
func distribution(key string) *source { return &source{histogram: key, bounds: durationBounds()} }

// quantile publishes a quantile of the observations of a runtime/metrics histogram since the last
// tick. 1 is the maximum.
func quantile(q float64, key string) *source { return &source{histogram: key, quantile: q} }

// computed calculates a value from the reading. NaN means absent.
func computed(f func(*reading) float64) *source { return &source{number: f} }

// durationBounds returns upper bounds from 16 µs to 1.07 s, a factor of four apart. Each of them is
// also a bound of the runtime's time histograms, so that merging the runtime's 162 buckets is exact.
// Delays below 16 µs harm no request, and every bucket is a series in Prometheus.
func durationBounds() []float64 {
	bounds := make([]float64, 9)
	for i := range bounds {
		bounds[i] = 16384e-9 * float64(uint64(1)<<(2*i))
	}
	return bounds
}

// bind returns the function that calculates the value of s from a reading of r.
func (s *source) bind(r *Reader) func(*reading) float64 {
	switch {
	case s.number != nil:
		return s.number
	case s.histogram != "":
		w := r.window(s.histogram)
		return func(*reading) float64 { return w.quantile(s.quantile) }
	default:
		return s.terms(r)
	}
}

// terms is like bind, for sums, differences and ratios of runtime/metrics values.
func (s *source) terms(r *Reader) func(*reading) float64 {
	add, sub, over := r.samples(s.add), r.samples(s.sub), r.samples(s.over)
	return func(in *reading) float64 {
		v := in.sum(add) - in.sum(sub)
		if v < 0 { // the terms are not read at the same time
			v = 0
		}
		if len(over) == 0 {
			return v
		}
		divisor := in.sum(over)
		if divisor == 0 {
			return math.NaN()
		}
		return v / divisor
	}
}
