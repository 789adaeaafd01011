// SPDX-License-Identifier: Apache-2.0

package runtimeinfo

import "math"

// NewSnapshot makes a snapshot by hand, for testing an exporter without a live
// runtime. Its Metrics are those of the points, in the order given; points of
// one metric stand together. Set the exported fields afterwards.
func NewSnapshot(points ...Point) *Snapshot {
	s := &Snapshot{Seq: 1}
	slots := map[*Metric]*Metric{}
	for _, p := range points {
		m := slots[p.Metric]
		if m == nil {
			c := *p.Metric
			m, slots[p.Metric] = &c, &c
			m.key = m.makeKey()
			s.metrics = append(s.metrics, m)
		}
		switch {
		case m.Keys != nil:
			p.Metric = m
			s.series = append(s.series, p)
		case m.Kind == KindHistogram:
			m.slot = len(s.histograms)
			s.histograms = append(s.histograms, *p.Histogram)
		default:
			m.slot = len(s.numbers)
			s.numbers = append(s.numbers, p.Number)
			if p.Exemplar != nil {
				s.exemplars = append(s.exemplars, make([]*Exemplar, m.slot+1-len(s.exemplars))...)
				s.exemplars[m.slot] = p.Exemplar
			}
		}
	}
	for _, m := range s.metrics {
		s.places = append(s.places, m.place())
	}
	return s
}

// Absent is the number that makes a point absent in [NewSnapshot].
func Absent() float64 { return math.NaN() }
