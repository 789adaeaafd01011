// SPDX-License-Identifier: Apache-2.0

package otlp

import (
	"slices"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// batch is what the SDK's exporter is handed. Its memory lasts from one Export to
// the next: that exporter may keep nothing of it. Names, descriptions, units and
// attributes are made once for a catalogue, and handed over as copies each time:
// whoever decorates an exporter may change them in place.
type batch struct {
	exporter sdkmetric.Exporter // for its temporality
	process  bool               // Config.Process
	baseline baseline
	relation []attribute.KeyValue // of exemplars

	catalogue []*runtimeinfo.Metric // that rows was made for
	rows      []row                 // as many
	families  []family
	heads     []metricdata.Metrics // of families, as they are handed over

	snapshot *runtimeinfo.Snapshot // of the Export under way
	data     metricdata.ResourceMetrics
	points   int // values in data, those too that are no delta yet
}

// row is one metric of the catalogue.
type row struct {
	metric *runtimeinfo.Metric
	family *family // nil: not sent
	one    series  // of a metric without keys
	many   *table  // of one with some, else nil
}

func newBatch(e sdkmetric.Exporter, process bool) *batch {
	return &batch{
		exporter: e, process: process,
		relation: []attribute.KeyValue{attribute.String(runtimeinfo.ExemplarRelationKey, runtimeinfo.ExemplarRelation)},
		data:     metricdata.ResourceMetrics{ScopeMetrics: []metricdata.ScopeMetrics{{Scope: instrumentation.Scope{Name: Scope}}}},
	}
}

// fill makes data that of a snapshot.
func (b *batch) fill(s *runtimeinfo.Snapshot) {
	if !slices.Equal(b.catalogue, s.Metrics()) {
		b.plan(s.Metrics())
	}
	b.baseline.begin()
	b.snapshot, b.points = s, 0
	at, nth := 0, 0
	for p := range s.Points() {
		for b.rows[at].metric != p.Metric { // both are in the order of the catalogue
			at, nth = at+1, 0
		}
		if r := &b.rows[at]; r.family != nil {
			series := &r.one
			if r.many != nil {
				series = r.many.find(&p, nth, b.baseline.current)
			}
			r.family.add(b, &p, series)
			b.points++
		}
		nth++
	}
	b.assemble()
	for i := range b.rows {
		if t := b.rows[i].many; t != nil {
			t.prune(&b.baseline)
		}
	}
}

// assemble makes data of the families that have values.
func (b *batch) assemble() {
	metrics := b.data.ScopeMetrics[0].Metrics[:0]
	from := 0 // the first family that is not in metrics yet
	for i := range b.families {
		f := &b.families[i]
		if f.export != b.baseline.current {
			metrics = append(metrics, b.heads[from:i]...)
			from = i + 1
			continue
		}
		if f.stale() {
			b.heads[i].Data = f.box()
		}
	}
	b.data.ScopeMetrics[0].Metrics = append(metrics, b.heads[from:]...)
}

// plan makes rows and families for a catalogue. What deltas are counted from goes
// over to the rows that were in the last one too.
func (b *batch) plan(catalogue []*runtimeinfo.Metric) {
	before := make(map[string]*row, len(b.rows))
	for i := range b.rows {
		before[b.rows[i].metric.Key()] = &b.rows[i]
	}
	b.catalogue, b.rows = slices.Clone(catalogue), make([]row, len(catalogue))
	b.families, b.heads = make([]family, 0, len(catalogue)), nil // rows point into families: it must not move
	named := map[string]*family{}
	for i, m := range catalogue {
		r := &b.rows[i]
		r.metric = m
		if m.Subsystem == runtimeinfo.SubsystemProcess && !b.process {
			continue
		}
		if old := before[m.Key()]; old != nil && alike(old.metric, m) {
			r.one, r.many = old.one, old.many
		} else if m.Keys != nil {
			r.many = &table{named: map[string]*series{}}
		} else {
			r.one.attrs = attributesOf(&runtimeinfo.Point{Metric: m})
		}
		if named[m.Name] == nil {
			b.families = append(b.families, newFamily(m.Kind, b.exporter))
			b.heads = append(b.heads, metricdata.Metrics{Name: m.Name, Description: valid(m.Help), Unit: m.Unit})
			named[m.Name] = &b.families[len(b.families)-1]
		}
		r.family = named[m.Name]
	}
}

// alike tells whether the series of two metrics are the same ones.
func alike(a, b *runtimeinfo.Metric) bool {
	return a.Kind == b.Kind && a.Attr == b.Attr && slices.Equal(a.Keys, b.Keys)
}
