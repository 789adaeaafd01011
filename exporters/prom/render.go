// SPDX-License-Identifier: Apache-2.0

package prom

import (
	"encoding/hex"
	"math"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// sample is a value as a registry takes it. What it points to is never changed,
// whatever a registry keeps of it.
type sample struct {
	desc      *prometheus.Desc
	labels    []*dto.LabelPair
	gauge     *dto.Gauge
	counter   *dto.Counter
	histogram *dto.Histogram
}

var _ prometheus.Metric = (*sample)(nil)

// Desc returns the descriptor.
func (s *sample) Desc() *prometheus.Desc { return s.desc }

// Write makes out this sample.
func (s *sample) Write(out *dto.Metric) error {
	out.Label, out.Gauge, out.Counter, out.Histogram = s.labels, s.gauge, s.counter, s.histogram
	return nil
}

// pairs lays the labels of a metric's values out as a registry wants them, sorted
// by name. What all values share is there already.
type pairs struct {
	fixed  []*dto.LabelPair // nil where a value's own belongs
	names  []*string        // of those
	values []int            // indexes into Point.Labels, likewise
}

func newPairs(m *runtimeinfo.Metric) pairs {
	var p pairs
	for _, l := range sortedLabels(m) {
		if l.index < 0 {
			p.fixed = append(p.fixed, &dto.LabelPair{Name: new(l.name), Value: new(valid(m.Attr.Value))})
			continue
		}
		p.fixed = append(p.fixed, nil)
		p.names, p.values = append(p.names, new(l.name)), append(p.values, l.index)
	}
	return p
}

// rendering is the memory of one scrape by a registry: a block of each kind of
// object, where the constructors of client_golang make ten little ones a value.
type rendering struct {
	samples   []sample
	gauges    []dto.Gauge
	counters  []dto.Counter
	variable  []dto.LabelPair
	labels    []*dto.LabelPair
	exemplars exemplars
}

// render returns values as a registry takes them. They point into values.
func render(values []value) []sample {
	var gauges, counters, variable, labels int
	for i := range values {
		v := &values[i]
		switch promKind(v.Metric.Kind) {
		case runtimeinfo.KindGauge:
			gauges++
		case runtimeinfo.KindCounter:
			counters++
		default: // histograms are few
		}
		if n := len(v.Labels); n > 0 {
			variable += n
			labels += len(v.form.fixed)
		}
	}
	r := rendering{
		samples:  make([]sample, len(values)),
		gauges:   make([]dto.Gauge, 0, gauges),
		counters: make([]dto.Counter, 0, counters),
		variable: make([]dto.LabelPair, 0, variable),
		labels:   make([]*dto.LabelPair, 0, labels),
	}
	for i := range values {
		r.sample(&r.samples[i], &values[i])
	}
	return r.samples
}

// sample makes s that of a value.
func (r *rendering) sample(s *sample, v *value) {
	s.desc, s.labels = v.form.desc, r.labelsOf(v)
	switch promKind(v.Metric.Kind) {
	case runtimeinfo.KindHistogram:
		s.histogram = r.histogram(v.Histogram)
	case runtimeinfo.KindCounter:
		r.counters = r.counters[:len(r.counters)+1]
		s.counter = &r.counters[len(r.counters)-1]
		s.counter.Value, s.counter.Exemplar = &v.Number, r.exemplars.of(v.Exemplar)
	default: // no exemplar on a gauge: the whole scrape would fail
		r.gauges = r.gauges[:len(r.gauges)+1]
		s.gauge = &r.gauges[len(r.gauges)-1]
		s.gauge.Value = &v.Number
	}
}

func (r *rendering) labelsOf(v *value) []*dto.LabelPair {
	f := v.form
	if len(f.pairs.values) == 0 {
		return f.fixed
	}
	at := len(r.labels)
	r.labels = append(r.labels, f.fixed...)
	all, own := r.labels[at:len(r.labels):len(r.labels)], 0
	for i := range all {
		if all[i] != nil {
			continue
		}
		r.variable = r.variable[:len(r.variable)+1]
		p := &r.variable[len(r.variable)-1]
		p.Name, p.Value = f.names[own], &v.Labels[f.pairs.values[own]]
		all[i], own = p, own+1
	}
	return all
}

// histogram renders a classic histogram, whose counts are cumulative over buckets.
// The last bucket, which holds all, is there only if it has an exemplar.
func (r *rendering) histogram(h *runtimeinfo.Histogram) *dto.Histogram {
	n := len(h.Bounds)
	buckets := make([]dto.Bucket, n+1)
	list := make([]*dto.Bucket, n+1)
	numbers := make([]uint64, n+1)
	sum := uint64(0)
	for i := range list {
		sum += h.Counts[i]
		numbers[i] = sum
		b := &buckets[i]
		b.CumulativeCount, b.Exemplar = &numbers[i], r.exemplars.of(exemplarOf(h, i))
		if i < n {
			b.UpperBound = &h.Bounds[i]
		} else {
			b.UpperBound = new(math.Inf(1))
		}
		list[i] = b
	}
	if buckets[n].Exemplar == nil {
		list = list[:n]
	}
	return &dto.Histogram{SampleCount: &numbers[n], SampleSum: &h.Sum, Bucket: list}
}

// exemplars renders those of one scrape. Most of them name the same span.
type exemplars struct {
	last   runtimeinfo.Exemplar
	labels []*dto.LabelPair
}

// of returns nil for nil.
func (r *exemplars) of(x *runtimeinfo.Exemplar) *dto.Exemplar {
	if x == nil {
		return nil
	}
	if r.labels == nil || x.TraceID != r.last.TraceID || x.SpanID != r.last.SpanID {
		r.last = *x
		r.labels = []*dto.LabelPair{
			{Name: new("trace_id"), Value: new(hex.EncodeToString(x.TraceID[:]))},
			{Name: new("span_id"), Value: new(hex.EncodeToString(x.SpanID[:]))},
			{Name: new(runtimeinfo.ExemplarRelationKey), Value: new(runtimeinfo.ExemplarRelation)},
		}
	}
	return &dto.Exemplar{Label: slices.Clip(r.labels), Value: &x.Value, Timestamp: timestamppb.New(x.Time)}
}

// exemplarOf returns the exemplar of a bucket, nil for none.
func exemplarOf(h *runtimeinfo.Histogram, bucket int) *runtimeinfo.Exemplar {
	if bucket < len(h.Exemplars) {
		return h.Exemplars[bucket]
	}
	return nil
}
