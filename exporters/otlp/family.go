// SPDX-License-Identifier: Apache-2.0

package otlp

import (
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// family has the data points of the rows of one name: one metric to the SDK.
type family struct {
	kind        runtimeinfo.Kind
	temporality metricdata.Temporality
	export      uint64 // number of the last Export with values of this family

	numbers    []metricdata.DataPoint[float64]
	histograms []metricdata.HistogramDataPoint[float64]
	boxed      int // how many of them the last box has; -1: they have moved since
}

// newFamily returns one without points. Our values are looked up, not counted, so
// that they are those of observable instruments.
func newFamily(k runtimeinfo.Kind, e sdkmetric.Exporter) family {
	f := family{kind: k, boxed: -1}
	switch k {
	case runtimeinfo.KindCounter:
		f.temporality = e.Temporality(sdkmetric.InstrumentKindObservableCounter)
	case runtimeinfo.KindUpDownCounter:
		f.temporality = e.Temporality(sdkmetric.InstrumentKindObservableUpDownCounter)
	case runtimeinfo.KindHistogram:
		f.temporality = e.Temporality(sdkmetric.InstrumentKindHistogram)
	default: // a gauge has none
	}
	return f
}

// add takes the value of one series.
func (f *family) add(b *batch, p *runtimeinfo.Point, s *series) {
	if f.export != b.baseline.current {
		f.export = b.baseline.current
		f.numbers, f.histograms = f.numbers[:0], f.histograms[:0]
	}
	if f.kind == runtimeinfo.KindHistogram {
		f.addHistogram(b, p.Histogram, s)
		return
	}
	n := len(f.numbers)
	f.numbers = extend(f, f.numbers)
	d := &f.numbers[n]
	d.Attributes, d.Time, d.Value = s.attrs, b.snapshot.Time, p.Number
	if f.kind == runtimeinfo.KindGauge {
		return
	}
	d.StartTime, d.Exemplars = b.snapshot.Start, nil
	if p.Exemplar != nil {
		d.Exemplars = s.examples(b.relation, p.Exemplar)
	}
	if f.temporality == metricdata.DeltaTemporality && !f.difference(&b.baseline, d, s) {
		f.numbers = f.numbers[:n]
	}
}

// difference makes d what the series gained. It is false where there is no
// telling yet.
func (f *family) difference(b *baseline, d *metricdata.DataPoint[float64], s *series) bool {
	v := d.Value
	before, known := b.number(s, v)
	d.StartTime = b.time
	d.Value -= before
	if d.Value < 0 && f.kind == runtimeinfo.KindCounter { // it began anew
		d.Value = v
	}
	d.Exemplars = since(d.StartTime, d.Exemplars)
	return known
}

func (f *family) addHistogram(b *batch, h *runtimeinfo.Histogram, s *series) {
	n := len(f.histograms)
	f.histograms = extend(f, f.histograms)
	d := &f.histograms[n]
	*d = metricdata.HistogramDataPoint[float64]{
		Attributes: s.attrs, StartTime: b.snapshot.Start, Time: b.snapshot.Time,
		Count: h.Count(), Sum: h.Sum, Bounds: h.Bounds, BucketCounts: h.Counts,
		Exemplars: s.examples(b.relation, h.Exemplars...),
	}
	if f.temporality == metricdata.DeltaTemporality && !differences(&b.baseline, d, h, s) {
		f.histograms = f.histograms[:n]
	}
}

// differences is difference for a distribution.
func differences(b *baseline, d *metricdata.HistogramDataPoint[float64], h *runtimeinfo.Histogram, s *series) bool {
	before, known := b.histogram(s, h)
	if !known {
		return false
	}
	d.StartTime = b.time
	d.Exemplars = since(d.StartTime, d.Exemplars)
	if before.Count() > d.Count || len(before.Counts) != len(h.Counts) { // it began anew
		return true
	}
	s.counts = append(s.counts[:0], h.Counts...)
	for i, n := range before.Counts {
		s.counts[i] -= n
	}
	d.BucketCounts = s.counts
	d.Count -= before.Count()
	d.Sum -= before.Sum
	return true
}

// extend makes room for one more point, which is as the last Export left it.
func extend[T any](f *family, points []T) []T {
	if len(points) == cap(points) {
		points, f.boxed = slices.Grow(points, 1), -1
	}
	return points[:len(points)+1]
}

// stale tells that a box is due. As long as there are neither more nor fewer
// points than in the last one, the points in that are these.
func (f *family) stale() bool {
	n := len(f.numbers) + len(f.histograms)
	return f.boxed != n
}

// box returns the points as the SDK has them.
func (f *family) box() metricdata.Aggregation {
	f.boxed = len(f.numbers) + len(f.histograms)
	switch f.kind {
	case runtimeinfo.KindCounter, runtimeinfo.KindUpDownCounter:
		return metricdata.Sum[float64]{DataPoints: f.numbers, Temporality: f.temporality, IsMonotonic: f.kind == runtimeinfo.KindCounter}
	case runtimeinfo.KindHistogram:
		return metricdata.Histogram[float64]{DataPoints: f.histograms, Temporality: f.temporality}
	default:
		return metricdata.Gauge[float64]{DataPoints: f.numbers}
	}
}

func attributesOf(p *runtimeinfo.Point) attribute.Set {
	var kvs []attribute.KeyValue
	for k, v := range p.Attrs() {
		kvs = append(kvs, attribute.String(k, valid(v)))
	}
	return attribute.NewSet(kvs...)
}

// examples returns exemplars as the SDK has them, in memory of the series'.
func (s *series) examples(relation []attribute.KeyValue, all ...*runtimeinfo.Exemplar) []metricdata.Exemplar[float64] {
	s.exemplars = s.exemplars[:0]
	for _, x := range all {
		if x != nil {
			s.exemplars = append(s.exemplars, metricdata.Exemplar[float64]{
				Time: x.Time, Value: x.Value, TraceID: x.TraceID[:], SpanID: x.SpanID[:], FilteredAttributes: relation,
			})
		}
	}
	return s.exemplars
}

// since leaves out exemplars of before: a delta has those of its own time only.
func since(start time.Time, all []metricdata.Exemplar[float64]) []metricdata.Exemplar[float64] {
	return slices.DeleteFunc(all, func(x metricdata.Exemplar[float64]) bool { return !x.Time.After(start) })
}
