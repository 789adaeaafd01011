// SPDX-License-Identifier: Apache-2.0

package runtimeinfo

import (
	"fmt"
	"math"
	"slices"
	"sort"
)

// Builder collects the values of one snapshot. Make one with [NewBuilder]; it belongs to
// one goroutine.
type Builder struct {
	s     *Snapshot
	order []int  // of each of s.points, the index of its metric
	draft *Draft // reused by Draft
}

// NewBuilder returns a Builder for a snapshot with the metrics of a catalogue, all of
// them absent. The exported fields of s are those that the snapshot begins with. The
// Builder takes over the memory of a previous one, which is nil or finished.
func NewBuilder(c *Catalogue, s Snapshot, previous *Builder) *Builder {
	points, labels := 0, 0
	b := previous
	if b == nil {
		b = &Builder{draft: new(Draft)}
	} else {
		points = len(b.s.points) + len(b.s.points)/8
		for i := range b.s.points {
			labels += len(b.s.points[i].Labels)
		}
		labels += labels / 8
	}
	s.catalogue, s.exemplars = c, nil
	s.numbers = make([]float64, len(c.metrics))
	for i := range s.numbers {
		s.numbers[i] = math.NaN()
	}
	s.points = make([]Point, 0, points)
	b.s, b.order, b.draft.labels = &s, b.order[:0], make([]string, 0, labels)
	return b
}

// Draft returns an empty draft for the next part of the snapshot. The draft before it
// is no longer valid.
func (b *Builder) Draft() *Draft {
	d := b.draft
	*d = Draft{base: b.s, points: d.points[:0], labels: d.labels}
	return d
}

// Merge adds the content of a draft that Draft returned.
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
		s.setExemplar(m, p.Exemplar)
	}
	s.Events = append(slices.Clip(s.Events), d.events...)
	if d.hasSpans {
		s.Spans, s.SpanGroups = d.spans, d.groups
	}
	s.Bands = append(slices.Clip(s.Bands), d.bands...)
}

// MergeEvents adds only the events of a draft, which may be one of another Builder.
func (b *Builder) MergeEvents(d *Draft) {
	b.s.Events = append(slices.Clip(b.s.Events), d.events...)
}

// Fork returns a Builder with the same content that shares no memory with b. It serves
// where a goroutine that reads a draft of b cannot be waited for.
func (b *Builder) Fork() *Builder {
	s := *b.s
	s.numbers, s.exemplars, s.points = slices.Clone(s.numbers), slices.Clone(s.exemplars), slices.Clone(s.points)
	return &Builder{s: &s, order: slices.Clone(b.order), draft: new(Draft)}
}

// Snapshot returns the finished snapshot. The Builder serves only [NewBuilder] afterwards.
func (b *Builder) Snapshot() *Snapshot {
	if !slices.IsSorted(b.order) {
		sort.Stable(byCatalogue(*b))
	}
	return b.s
}

// byCatalogue orders the points of a builder as their metrics stand in the catalogue.
type byCatalogue Builder

func (o byCatalogue) Len() int           { return len(o.order) }
func (o byCatalogue) Less(i, j int) bool { return o.order[i] < o.order[j] }
func (o byCatalogue) Swap(i, j int) {
	o.order[i], o.order[j] = o.order[j], o.order[i]
	o.s.points[i], o.s.points[j] = o.s.points[j], o.s.points[i]
}

// Draft is what one part of the agent adds to a snapshot: an analyzer gets one at each
// tick. It belongs to the goroutine of the call and must not be kept.
type Draft struct {
	base     *Snapshot
	points   []Point
	labels   []string // of the points, in one block
	events   []Event
	spans    []Span
	groups   []SpanGroup
	hasSpans bool
	bands    []Band
}

// Snapshot returns what the sampler and earlier analyzers put into the snapshot. It must
// be neither changed nor kept, and its labelled values are in no order.
func (d *Draft) Snapshot() *Snapshot { return d.base }

// Add adds a value of a metric, with the values of its [Metric.Keys]. NaN and infinite
// values are absent. It panics if the metric is not in the catalogue of the snapshot.
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

// AddPoint adds a value that may be a histogram and may have an exemplar.
func (d *Draft) AddPoint(p Point) {
	if _, ok := d.base.catalogue.index[p.Metric]; !ok || len(p.Labels) != len(p.Metric.Keys) {
		panic(fmt.Sprintf("runtimeinfo: metric %s with %d labels is not declared", p.Metric.Key(), len(p.Labels)))
	}
	d.points = append(d.points, p)
}

// AddEvents adds events.
func (d *Draft) AddEvents(events ...Event) { d.events = append(d.events, events...) }

// AddBands adds what a baseline expects of signals.
func (d *Draft) AddBands(bands ...Band) { d.bands = append(d.bands, bands...) }

// SetSpans sets the active local root spans and the groups of spans. The caller must not
// change them afterwards.
func (d *Draft) SetSpans(active []Span, groups []SpanGroup) {
	d.spans, d.groups, d.hasSpans = active, groups, true
}
