// SPDX-License-Identifier: Apache-2.0

package runtimeinfo

import (
	"fmt"
	"math"
	"slices"
	"sort"
)

// Builder makes snapshots from drafts, see [Draft]. Use [NewBuilder], or Reset of the zero value. It is not safe for
// concurrent use.
type Builder struct {
	s     *Snapshot
	order []int // indexes of the metrics of s.points
	draft Draft // reused by Draft
}

// NewBuilder returns a Builder for a snapshot with the metrics of c, or of s if c is nil, and without
// values. The snapshot has the exported fields of s.
func NewBuilder(c *Catalogue, s Snapshot) *Builder { return new(Builder).Reset(c, s) }

// Reset begins another snapshot, as NewBuilder does, and returns b. The last snapshot of b remains valid.
// Drafts use the memory of earlier drafts again.
func (b *Builder) Reset(c *Catalogue, s Snapshot) *Builder {
	if c != nil {
		s.catalogue = c
	}
	size, labels := 16, len(b.draft.labels) // histograms of the runtime, and some
	if b.s != nil {
		size = len(b.s.points) + len(b.s.points)/8
	}
	s.exemplars, s.ranges, s.points = nil, nil, make([]Point, 0, size)
	s.numbers = make([]float64, len(s.catalogue.Metrics()))
	for i := range s.numbers {
		s.numbers[i] = math.NaN()
	}
	b.s, b.order = &s, b.order[:0]
	b.draft = Draft{points: b.draft.points[:0], labels: make([]string, 0, labels+labels/8)}
	return b
}

// Draft returns an empty draft for the next part of the snapshot. It invalidates the previous draft.
func (b *Builder) Draft() *Draft {
	b.draft = Draft{base: b.s, points: b.draft.points[:0], labels: b.draft.labels}
	return &b.draft
}

// Merge adds the content of d, which was returned by b.Draft.
func (b *Builder) Merge(d *Draft) {
	s := b.s
	for i := range d.points {
		p := &d.points[i]
		m := s.catalogue.index[p.Metric]
		if p.Metric.Kind == KindHistogram || p.Metric.Keys != nil {
			s.points, b.order = append(s.points, *p), append(b.order, m)
			continue
		}
		s.numbers[m] = p.Number
		if p.Exemplar != nil { // seldom: most numbers need no call
			setAt(&s.exemplars, len(s.numbers), m, p.Exemplar)
		}
		if p.Range != nil {
			setAt(&s.ranges, len(s.numbers), m, p.Range)
		}
	}
	if d.Spans != nil || d.SpanGroups != nil {
		s.Spans, s.SpanGroups = d.Spans, d.SpanGroups
	}
	s.Events = append(slices.Clip(s.Events), d.Events...)
	s.Bands = append(slices.Clip(s.Bands), d.Bands...)
}

// Fork returns a copy of b that shares no memory with it. The engine uses it if an analyzer exceeds its
// deadline and may still use a draft of b.
func (b *Builder) Fork() *Builder {
	s := *b.s
	s.numbers, s.exemplars, s.points = slices.Clone(s.numbers), slices.Clone(s.exemplars), slices.Clone(s.points)
	s.ranges = slices.Clone(s.ranges)
	return &Builder{s: &s, order: slices.Clone(b.order)}
}

// Snapshot returns the finished snapshot. Afterwards b may only be reset.
func (b *Builder) Snapshot() *Snapshot {
	if !slices.IsSorted(b.order) {
		sort.Stable(byCatalogue(*b))
	}
	return b.s
}

// byCatalogue sorts the points of a builder by the order of the catalogue.
type byCatalogue Builder

func (o byCatalogue) Len() int           { return len(o.order) }
func (o byCatalogue) Less(i, j int) bool { return o.order[i] < o.order[j] }
func (o byCatalogue) Swap(i, j int) {
	o.order[i], o.order[j] = o.order[j], o.order[i]
	o.s.points[i], o.s.points[j] = o.s.points[j], o.s.points[i]
}

// Draft collects what one analyzer adds to a snapshot. The engine passes one to each analyzer at each
// tick. A Draft is not safe for concurrent use and must not be used after the call.
type Draft struct {
	// Spans and SpanGroups replace the fields of the snapshot, unless both are nil. They must not be
	// changed after the call.
	Spans      []Span
	SpanGroups []SpanGroup
	// Events and Bands are appended to the fields of the snapshot.
	Events []Event
	Bands  []Band

	base   *Snapshot
	points []Point
	labels []string // of all points
}

// Snapshot returns the snapshot with the values of the sampler and of earlier analyzers. The caller
// must not change or keep it. Values with labels are not in the order of the catalogue.
func (d *Draft) Snapshot() *Snapshot { return d.base }

// Add adds a value of m with the values of [Metric.Keys]. It ignores NaN and infinite values. It panics
// if m is not in the catalogue of the snapshot or the number of labels is wrong.
func (d *Draft) Add(m *Metric, v float64, labels ...string) {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return
	}
	at := len(d.labels)
	d.labels = append(d.labels, labels...)
	p := Point{Metric: m, Number: v}
	if len(labels) > 0 {
		p.Labels = d.labels[at:len(d.labels):len(d.labels)]
	}
	d.AddPoint(p)
}

// AddPoint adds a point, which may be a histogram or have an exemplar. It panics like [Draft.Add].
func (d *Draft) AddPoint(p Point) {
	if _, ok := d.base.catalogue.index[p.Metric]; !ok || len(p.Labels) != len(p.Metric.Keys) {
		panic(fmt.Sprintf("runtimeinfo: metric %s with %d labels is not declared", p.Metric.Key(), len(p.Labels)))
	}
	d.points = append(d.points, p)
}

// NewSnapshot returns a snapshot of the given points, for tests of exporters. Its catalogue has the
// metrics of the points, in the same order, and Seq is 1. A point whose number is NaN is absent. The
// caller may set the exported fields.
func NewSnapshot(points ...Point) *Snapshot {
	var metrics []*Metric
	known := map[*Metric]bool{}
	for _, p := range points {
		if !known[p.Metric] {
			known[p.Metric] = true
			metrics = append(metrics, p.Metric)
		}
	}
	b := NewBuilder(newCatalogue(metrics), Snapshot{Seq: 1})
	b.Merge(&Draft{points: points})
	return b.Snapshot()
}
