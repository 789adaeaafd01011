// SPDX-License-Identifier: Apache-2.0

package runtimeinfo

import (
	"iter"
	"math"
	"time"
)

// Snapshot is the state of the process at one tick. It is immutable: any number
// of goroutines may read it, for as long as they like.
type Snapshot struct {
	// Seq is 1 for the first snapshot of an agent and rises by one each tick.
	Seq uint64
	// Time is when the sample was taken.
	Time time.Time
	// Start is when this agent began to sample. Counters of the runtime and the
	// host may have begun earlier, with the process or the machine.
	Start time.Time
	// Resource describes the process: service.name, service.instance.id and so on.
	Resource []Attr
	// Spans are the oldest active local root spans, oldest first, at most [MaxSpans].
	Spans []Span
	// SpanGroups sum up the local root spans by name.
	SpanGroups []SpanGroup
	// Events are what happened since the previous snapshot.
	Events []Event
	// Bands are what the baselines expect, one for each signal that they watch.
	Bands []Band

	metrics    []*Metric
	places     []place   // as many
	numbers    []float64 // NaN: absent
	histograms []Histogram
	exemplars  []*Exemplar // of counters, by slot; may be shorter than numbers
	series     []Point
}

// Point is one value of one metric.
type Point struct {
	Metric *Metric
	// Labels are the values of Metric.Keys, in the same order.
	Labels []string
	// Number is the value of anything but a histogram. Always finite.
	Number float64
	// Histogram is the value of a [KindHistogram] metric, else nil.
	Histogram *Histogram
	// Exemplar is the newest one of a counter, nil for none. Those of a histogram
	// are in the histogram.
	Exemplar *Exemplar
}

// Attrs iterates over the attributes of the point: the metric's own and the
// labels. It does not allocate.
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

// Points iterates over every value that is present, in catalogue order. What
// the platform or the toolchain lacks is absent. It does not allocate.
func (s *Snapshot) Points() iter.Seq[Point] {
	return func(yield func(Point) bool) {
		rest := s.series // in catalogue order too
		for i, at := range s.places {
			m := s.metrics[i]
			more := true
			if !at.labelled {
				more = s.give(m, at, yield)
			}
			for more && len(rest) > 0 && rest[0].Metric == m {
				more = yield(rest[0])
				rest = rest[1:]
			}
			if !more {
				return
			}
		}
	}
}

// give yields the value of a metric without labels, if it is present. Each yield
// makes its own Point: one that both share costs twice the time.
func (s *Snapshot) give(m *Metric, at place, yield func(Point) bool) bool {
	if at.histogram {
		h := &s.histograms[at.slot]
		return h.Counts == nil || yield(Point{Metric: m, Histogram: h})
	}
	v := s.numbers[at.slot]
	return math.IsNaN(v) || yield(Point{Metric: m, Number: v, Exemplar: s.exemplar(int(at.slot))})
}

// Metrics returns the catalogue that this snapshot was read with, absent
// metrics included. The slice must not be changed.
func (s *Snapshot) Metrics() []*Metric { return s.metrics }

// Number returns the value of the metric with the given [Metric.Key]. Where it
// is absent, unknown, a histogram or has labels it returns 0 and false.
func (s *Snapshot) Number(key string) (v float64, ok bool) {
	p, ok := s.find(key)
	return p.Number, ok && p.Histogram == nil
}

// Value returns the value of one of [Snapshot.Metrics], where Number would look for
// it by key. A metric of another catalogue is a mistake of the caller's.
func (s *Snapshot) Value(m *Metric) (v float64, ok bool) {
	p, ok := s.point(m)
	return p.Number, ok && p.Histogram == nil
}

// Histogram returns the histogram with the given [Metric.Key], or nil.
func (s *Snapshot) Histogram(key string) *Histogram {
	p, _ := s.find(key)
	return p.Histogram
}

// WithEvents returns a copy of the snapshot with other events.
func (s *Snapshot) WithEvents(events []Event) *Snapshot {
	c := *s
	c.Events = events
	return &c
}

func (s *Snapshot) find(key string) (Point, bool) {
	for _, m := range s.metrics {
		if m.Key() == key {
			return s.point(m)
		}
	}
	return Point{}, false
}

// point returns the one value of a metric without labels, if it is present.
func (s *Snapshot) point(m *Metric) (Point, bool) {
	if m.Keys != nil {
		return Point{}, false
	}
	if m.Kind == KindHistogram {
		h := &s.histograms[m.slot]
		return Point{Metric: m, Histogram: h}, h.Counts != nil
	}
	v := s.numbers[m.slot]
	return Point{Metric: m, Number: v, Exemplar: s.exemplar(m.slot)}, !math.IsNaN(v)
}

// exemplar returns that of a metric without labels that is no histogram.
func (s *Snapshot) exemplar(slot int) *Exemplar {
	if slot < len(s.exemplars) {
		return s.exemplars[slot]
	}
	return nil
}

func (s *Snapshot) setExemplar(m *Metric, x *Exemplar) {
	if x == nil {
		return
	}
	if s.exemplars == nil {
		s.exemplars = make([]*Exemplar, len(s.numbers))
	}
	s.exemplars[m.slot] = x
}
