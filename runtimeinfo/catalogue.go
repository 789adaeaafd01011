// SPDX-License-Identifier: Apache-2.0

package runtimeinfo

import (
	"slices"

	"github.com/gmpulse/gmpulse/runtimeinfo/host"
)

// catalogue returns THE table: every metric once, ordered by subsystem and,
// within it, so that what belongs together stands together. Each row carries a
// comment that says why it earns its place. A row needs nothing else anywhere:
// exporters, the metric reference and the tests iterate over the table.
func catalogue() []Metric {
	return slices.Concat(
		schedulerRows(), memoryRows(), gcRows(), cpuRows(),
		processRows(), containerRows(), systemRows(),
		spanRows(), leakRows(), capacityRows(), baselineRows(), agentRows(),
	)
}

// Catalogue returns a copy of every metric that gmpulse may publish, in order,
// whether or not this platform has it.
func Catalogue() []*Metric {
	rows := catalogue()
	all := make([]*Metric, len(rows))
	for i := range rows {
		rows[i].key = rows[i].makeKey()
		all[i] = &rows[i]
	}
	return all
}

// in gives all rows their subsystem.
func in(s Subsystem, rows []Metric) []Metric {
	for i := range rows {
		rows[i].Subsystem = s
	}
	return rows
}

// source says where the value of a row comes from. Exactly one of the forms
// that the functions below make is used. A Metric has a pointer to it because the
// code that fills the table in with copies was 65 KB more.
type source struct {
	// runtime/metrics keys: the sum of add less that of sub, divided by that of over.
	add, sub, over []string

	// A runtime/metrics histogram: published with bounds, or, where bounds is
	// nil, the quantile of what it gained since the last tick.
	histogram string
	bounds    []float64
	quantile  float64

	field   host.Field
	isField bool

	number       func(*reading) float64
	distribution func(*reading) *Histogram
	observed     func(*reading) float64 // an observation that distribution gained in the tick
	series       func(*Tick, *emitter)
	gauge        bool // a user's own function, valued by Tick.Gauges
}

// emitter takes the values of metrics with Keys. Points and labels are two blocks
// for all of them, and not hundreds of little ones.
type emitter struct {
	metric *Metric
	points []Point
	labels []string
}

// add takes one value.
func (e *emitter) add(v float64, labels ...string) {
	at := len(e.labels)
	e.labels = append(e.labels, labels...)
	e.points = append(e.points, Point{Metric: e.metric, Number: v, Labels: e.labels[at:len(e.labels):len(e.labels)]})
}

// rt sums runtime/metrics values.
func rt(keys ...string) *source { return &source{add: keys} }

// minus subtracts other runtime/metrics values. The difference is never below
// zero: the runtime does not read all of them at one instant.
func (s *source) minus(keys ...string) *source {
	s.sub = keys
	return s
}

// dividedBy makes a ratio; it is absent while the divisor is zero.
func (s *source) dividedBy(keys ...string) *source {
	s.over = keys
	return s
}

// distribution publishes a runtime/metrics histogram with our bounds.
func distribution(key string) *source { return &source{histogram: key, bounds: durationBounds()} }

// quantile is that of what a runtime/metrics histogram gained in the last
// tick; 1 is the maximum.
func quantile(q float64, key string) *source { return &source{histogram: key, quantile: q} }

// fromHost takes a field of the last host pass.
func fromHost(f host.Field) *source { return &source{field: f, isField: true} }

// computed derives a value from the whole reading; NaN means absent.
func computed(f func(*reading) float64) *source { return &source{number: f} }

// durationBounds returns upper bounds from 256 ns to 1.07 s, a factor of four
// apart. Each is also a bound of the runtime's own time histograms, so merging
// the runtime's 162 buckets loses nothing at them.
func durationBounds() []float64 {
	bounds := make([]float64, 12)
	for i := range bounds {
		bounds[i] = 256e-9 * float64(uint64(1)<<(2*i))
	}
	return bounds
}
