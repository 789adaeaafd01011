// SPDX-License-Identifier: Apache-2.0

package otlp

import (
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// series is one metric without keys, or one set of labels of a metric with some.
type series struct {
	labels []string
	attrs  attribute.Set
	seen   uint64  // number of the Export that had it last; of a table's only
	kept   [2]kept // see baseline

	// Memory of a data point's.
	exemplars []metricdata.Exemplar[float64]
	counts    []uint64
}

// kept is a value of a series.
type kept struct {
	export    uint64
	number    float64
	histogram *runtimeinfo.Histogram
}

// table has the series of a row with keys.
type table struct {
	last  []*series // in the order of the last snapshot, most likely that of the next
	named map[string]*series
	key   []byte // memory
}

// find returns the series of the nth point of the row.
func (t *table) find(p *runtimeinfo.Point, nth int, export uint64) *series {
	if nth < len(t.last) && slices.Equal(t.last[nth].labels, p.Labels) {
		t.last[nth].seen = export
		return t.last[nth]
	}
	t.key = t.key[:0]
	for _, l := range p.Labels {
		t.key = append(append(t.key, l...), 0xff) // no UTF-8 has that
	}
	s := t.named[string(t.key)]
	if s == nil {
		s = &series{labels: p.Labels, attrs: attributesOf(p)}
		t.named[string(t.key)] = s
	}
	s.seen = export
	t.last = append(t.last[:min(nth, len(t.last))], s)
	return s
}

// prune forgets the series that are gone, unless deltas are counted from them.
func (t *table) prune(b *baseline) {
	for len(t.last) > 0 && t.last[len(t.last)-1].seen != b.current {
		t.last = t.last[:len(t.last)-1]
	}
	if len(t.named) == len(t.last) {
		return
	}
	for key, s := range t.named {
		if s.seen != b.current && !b.has(s) {
			delete(t.named, key)
		}
	}
}

// baseline is what deltas are counted from: the values of the Export that was
// delivered last. It moves on only with what was delivered, so that what a failed
// Export had is part of the next one. For that each series keeps two values, the
// one delivered and the one under way, which trade places.
type baseline struct {
	seq         uint64 // identity of the snapshot delivered last
	time, start time.Time

	current   uint64 // number of the Export under way, from 1
	delivered uint64 // of the one delivered last; 0: none was
	slot      int    // in series.kept, of its values
}

func (b *baseline) begin() { b.current++ }

// settle makes what is under way the new baseline.
func (b *baseline) settle(s *runtimeinfo.Snapshot) {
	b.seq, b.time, b.start = s.Seq, s.Time, s.Start
	b.delivered, b.slot = b.current, 1-b.slot
}

// holds tells whether the values of s were delivered already: an exporter is
// handed a snapshot again when only its events could not be.
func (b *baseline) holds(s *runtimeinfo.Snapshot) bool {
	return b.delivered > 0 && b.seq == s.Seq && b.time.Equal(s.Time) && b.start.Equal(s.Start)
}

// has tells whether a value of the series was delivered last.
func (b *baseline) has(s *series) bool {
	return b.delivered > 0 && s.kept[b.slot].export == b.delivered
}

// number replaces the value of a series and returns what it was. One with labels
// that was not there was zero: it began since. One without was absent, and nobody
// knows from when it counts.
func (b *baseline) number(s *series, v float64) (before float64, ok bool) {
	s.kept[1-b.slot] = kept{export: b.current, number: v}
	if b.has(s) {
		return s.kept[b.slot].number, true
	}
	return 0, b.delivered > 0 && len(s.labels) > 0
}

// histogram is number for a distribution.
func (b *baseline) histogram(s *series, h *runtimeinfo.Histogram) (before *runtimeinfo.Histogram, ok bool) {
	s.kept[1-b.slot] = kept{export: b.current, histogram: h}
	if b.has(s) {
		return s.kept[b.slot].histogram, true
	}
	return nil, false
}
