// SPDX-License-Identifier: Apache-2.0

// Package runtimeinfo defines the data that gmpulse collects and exports. A [Snapshot] has the
// state of the process at one tick: values of metrics ([Point], [Histogram]), active spans
// ([Span], [SpanGroup]), expected ranges of values ([Band]) and events ([Event]).
//
// An exporter reads a Snapshot:
//
//	for p := range s.Points() {
//		fmt.Println(p.Metric.Key(), p.Number, p.Metric.Unit)
//	}
//
// An analyzer adds to a Snapshot before it is exported. It declares metrics ([Metric]) and adds
// their values to a [Draft] at each tick. Package sampler, below this one, reads the Go runtime
// and the host.
package runtimeinfo

import (
	"iter"
	"math"
	"time"
)

// Snapshot is the state of the process at one tick, or a summary of several ticks: an exporter with an
// interval longer than the tick receives one for each of its intervals. A summary has the values of its
// last tick, and [Point.Range] for the ticks before it. A finished Snapshot is immutable and safe for
// concurrent use. A [Builder] makes one, and [NewSnapshot] makes one for tests.
type Snapshot struct {
	// Seq is 1 for the first snapshot of an agent and increases by 1 at each tick.
	Seq uint64
	// Time is the time of the tick, which is the last tick in a summary.
	Time time.Time
	// Ticks is the number of ticks that the snapshot summarizes. 1, and 0, is a snapshot of one tick.
	Ticks int
	// Since is the time of the tick before the first of these ticks, so that the snapshot covers the
	// time from Since to Time. It is zero for the first tick of an agent. Since may be after Time if
	// the clock of the machine was set back.
	Since time.Time
	// Start is the time at which the agent started. Counters of the runtime and the host may
	// count since an earlier time, the start of the process or machine.
	Start time.Time
	// Resource describes the process, for example with service.name and service.instance.id.
	Resource []Attr
	// Spans are the oldest active local root spans, oldest first, at most [MaxSpans].
	Spans []Span
	// SpanGroups has the local root spans summarized by name.
	SpanGroups []SpanGroup
	// Events has the events since the previous snapshot for this exporter.
	Events []Event
	// Incidents are the open incidents, oldest first, in their newest state.
	Incidents []*Incident
	// Bands has the expected range of each signal with a baseline.
	Bands []Band

	catalogue *Catalogue
	numbers   []float64   // by the index of the metric in the catalogue; NaN if absent
	exemplars []*Exemplar // by the same index; nil if there are none
	ranges    []*Range    // by the same index; nil if there are none
	points    []Point     // histograms and labelled values, in the order of the catalogue
}

// Point is one value of one metric.
type Point struct {
	Metric *Metric
	// Labels are the values of Metric.Keys, in the same order.
	Labels []string
	// Number is the value, which is finite. 0 for a histogram. In a summary it is the value at the
	// last tick, or, for a metric with a Range that had no value then, its last value in the summary.
	Number float64
	// Range has the values at all ticks of a summary. It is nil for a snapshot of one tick, and if
	// [Metric.Ranged] is false.
	Range *Range
	// Histogram is the value of a [KindHistogram] metric, else nil.
	Histogram *Histogram
	// Exemplar is the newest exemplar of a counter, nil if there is none. A histogram has its
	// own exemplars.
	Exemplar *Exemplar
}

// Range has the least, the mean and the greatest value of a metric at the ticks of a summary.
type Range struct {
	Min, Mean, Max float64
}

// Attrs iterates over the attributes of the point: Metric.Attr and the labels. It does not allocate.
func (p Point) Attrs() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		if a := p.Metric.Attr; a.Key != "" && !yield(a.Key, a.Value) {
			return
		}
		for i, k := range p.Metric.Keys {
			if !yield(k, p.Labels[i]) {
				return
			}
		}
	}
}

// Points iterates over all values in the order of the catalogue. Values that the platform or the
// version of Go does not provide are absent. Points does not allocate.
func (s *Snapshot) Points() iter.Seq[Point] {
	return func(yield func(Point) bool) {
		rest := s.points
		for i, v := range s.numbers {
			m := s.catalogue.metrics[i]
			if !math.IsNaN(v) && !yield(Point{Metric: m, Number: v, Range: at(s.ranges, i), Exemplar: at(s.exemplars, i)}) {
				return
			}
			for len(rest) > 0 && rest[0].Metric == m {
				if !yield(rest[0]) {
					return
				}
				rest = rest[1:]
			}
		}
	}
}

// Metrics returns the metrics of the catalogue, including those without a value in s. The caller must
// not change the slice.
func (s *Snapshot) Metrics() []*Metric { return s.catalogue.Metrics() }

// Number returns the value of the metric with the given [Metric.Key]. It returns 0 and false if the
// value is absent, or the metric is unknown, a histogram, or has labels.
func (s *Snapshot) Number(key string) (v float64, ok bool) {
	i, ok := s.catalogue.find(key)
	if !ok || math.IsNaN(s.numbers[i]) {
		return 0, false
	}
	return s.numbers[i], true
}

// Histogram returns the histogram with the given [Metric.Key], or nil if it is absent.
func (s *Snapshot) Histogram(key string) *Histogram {
	i, ok := s.catalogue.find(key)
	if !ok {
		return nil
	}
	m := s.catalogue.metrics[i]
	for i := range s.points {
		if p := &s.points[i]; p.Metric == m && m.Keys == nil {
			return p.Histogram
		}
	}
	return nil
}

// WithEvents returns a copy of s with the given events instead of its own.
func (s *Snapshot) WithEvents(events []Event) *Snapshot {
	c := *s
	c.Events = events
	return &c
}

// at returns the element of a list that may be nil.
func at[T any](list []*T, i int) *T {
	if list == nil {
		return nil
	}
	return list[i]
}

// setAt sets an element of a list of n, which it makes for the first one that is not nil.
func setAt[T any](list *[]*T, n, i int, v *T) {
	if v == nil {
		return
	}
	if *list == nil {
		*list = make([]*T, n)
	}
	(*list)[i] = v
}

// Series iterates over the values of a metric with labels, which has the given [Metric.Key].
func (s *Snapshot) Series(key string) iter.Seq[Point] {
	return func(yield func(Point) bool) {
		i, ok := s.catalogue.find(key)
		if !ok {
			return
		}
		m := s.catalogue.metrics[i]
		for _, p := range s.points {
			if p.Metric == m && m.Keys != nil && !yield(p) {
				return
			}
		}
	}
}
