// SPDX-License-Identifier: Apache-2.0

package otlp

import (
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/resource"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/otlp/internal/identity"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// conversion turns one snapshot into the SDK's metrics.
type conversion struct {
	snapshot    *runtimeinfo.Snapshot
	temporality sdkmetric.TemporalitySelector
	selection   exporters.Selection
	process     bool // include the metrics of the process
	before      *baseline
	again       bool             // the baseline is of the same snapshot, so there are no deltas
	after       map[string]value // the values that the next deltas are relative to

	families []*family // in order of first appearance
	named    map[string]*family
	points   int // points of the snapshot, including those without a delta yet
}

// family has the data points of all metrics of one name, which are one metric to the SDK.
type family struct {
	metric      *runtimeinfo.Metric // the first
	temporality metricdata.Temporality
	numbers     []metricdata.DataPoint[float64]
	histograms  []metricdata.HistogramDataPoint[float64]
}

func newConversion(s *runtimeinfo.Snapshot, t sdkmetric.TemporalitySelector, before *baseline) *conversion {
	return &conversion{snapshot: s, temporality: t, before: before, after: map[string]value{}, named: map[string]*family{}}
}

// convert returns the metrics of the snapshot.
func (c *conversion) convert() []metricdata.Metrics {
	for p := range c.snapshot.Points() {
		if c.selected(p.Metric) {
			c.add(&p)
		}
	}
	metrics := make([]metricdata.Metrics, len(c.families))
	for i, f := range c.families {
		m := f.metric
		metrics[i] = metricdata.Metrics{Name: m.Name, Description: identity.Valid(m.Help), Unit: m.Unit, Data: f.data()}
	}
	return metrics
}

// resourceMetrics returns metrics as the metrics of one scope and resource.
func resourceMetrics(r *resource.Resource, from instrumentation.Scope, metrics []metricdata.Metrics) *metricdata.ResourceMetrics {
	return &metricdata.ResourceMetrics{Resource: r, ScopeMetrics: []metricdata.ScopeMetrics{
		{Scope: from, Metrics: metrics},
	}}
}

func (c *conversion) selected(m *runtimeinfo.Metric) bool {
	return (c.process || m.Subsystem != runtimeinfo.SubsystemProcess) && c.selection.Match(m)
}

// familyOf returns the family of m, which is new if no point had the same name.
func (c *conversion) familyOf(m *runtimeinfo.Metric) *family {
	f := c.named[m.Name]
	if f == nil {
		f = &family{metric: m, temporality: temporality(m.Kind, c.temporality)}
		c.named[m.Name] = f
		c.families = append(c.families, f)
	}
	return f
}

func (c *conversion) add(p *runtimeinfo.Point) {
	c.points++
	f := c.familyOf(p.Metric)
	if p.Range != nil {
		c.addRange(p)
	}
	if f.metric.Kind == runtimeinfo.KindHistogram {
		c.addHistogram(f, p)
		return
	}
	d := metricdata.DataPoint[float64]{Attributes: attributesOf(p), Time: c.snapshot.Time, Value: p.Number}
	if f.metric.Kind != runtimeinfo.KindGauge {
		d.StartTime, d.Exemplars = c.snapshot.Start, exemplarsOf(p.Exemplar)
		if f.temporality == metricdata.DeltaTemporality && !c.subtract(&d, p) {
			return
		}
	}
	f.numbers = append(f.numbers, d)
}

// subtract makes d the difference to the baseline. It reports whether there is one.
func (c *conversion) subtract(d *metricdata.DataPoint[float64], p *runtimeinfo.Point) bool {
	if c.again {
		return false
	}
	key := seriesKey(p)
	c.after[key] = value{number: p.Number}
	old, ok := c.before.values[key]
	// A series with labels that the baseline lacks started at zero since then. A
	// metric without labels was absent, and its increase is unknown.
	if !ok && (len(p.Labels) == 0 || !c.before.delivered) {
		return false
	}
	d.StartTime = c.before.time
	d.Value -= old.number
	if d.Value < 0 && p.Metric.Kind == runtimeinfo.KindCounter { // the counter was reset
		d.Value = p.Number
	}
	d.Exemplars = since(d.StartTime, d.Exemplars)
	return true
}

func (c *conversion) addHistogram(f *family, p *runtimeinfo.Point) {
	h := p.Histogram
	d := metricdata.HistogramDataPoint[float64]{
		Attributes: attributesOf(p), StartTime: c.snapshot.Start, Time: c.snapshot.Time,
		Count: h.Count(), Sum: h.Sum, Bounds: slices.Clone(h.Bounds), BucketCounts: slices.Clone(h.Counts),
		Exemplars: exemplarsOf(h.Exemplars...),
	}
	if f.temporality == metricdata.DeltaTemporality && !c.subtractHistogram(&d, p) {
		return
	}
	f.histograms = append(f.histograms, d)
}

// subtractHistogram is subtract for a histogram.
func (c *conversion) subtractHistogram(d *metricdata.HistogramDataPoint[float64], p *runtimeinfo.Point) bool {
	if c.again {
		return false
	}
	key := seriesKey(p)
	c.after[key] = value{histogram: p.Histogram}
	old := c.before.values[key].histogram
	if old == nil {
		return false
	}
	d.StartTime = c.before.time
	d.Exemplars = since(d.StartTime, d.Exemplars)
	if old.Count() > d.Count || len(old.Counts) != len(d.BucketCounts) { // the histogram was reset
		return true
	}
	for i, n := range old.Counts {
		d.BucketCounts[i] -= n
	}
	d.Count -= old.Count()
	d.Sum -= old.Sum
	return true
}

// data returns the data points as the SDK has them.
func (f *family) data() metricdata.Aggregation {
	switch f.metric.Kind {
	case runtimeinfo.KindCounter, runtimeinfo.KindUpDownCounter:
		return metricdata.Sum[float64]{DataPoints: f.numbers, Temporality: f.temporality, IsMonotonic: f.metric.Kind == runtimeinfo.KindCounter}
	case runtimeinfo.KindHistogram:
		return metricdata.Histogram[float64]{DataPoints: f.histograms, Temporality: f.temporality}
	default:
		return metricdata.Gauge[float64]{DataPoints: f.numbers}
	}
}

// temporality returns what choose returns for the observable instrument of kind k.
func temporality(k runtimeinfo.Kind, choose sdkmetric.TemporalitySelector) metricdata.Temporality {
	switch k {
	case runtimeinfo.KindCounter:
		return choose(sdkmetric.InstrumentKindObservableCounter)
	case runtimeinfo.KindUpDownCounter:
		return choose(sdkmetric.InstrumentKindObservableUpDownCounter)
	case runtimeinfo.KindHistogram:
		return choose(sdkmetric.InstrumentKindHistogram)
	default: // a gauge has none
		return 0
	}
}

func attributesOf(p *runtimeinfo.Point) attribute.Set {
	var kvs []attribute.KeyValue
	for k, v := range p.Attrs() {
		kvs = append(kvs, attribute.String(k, identity.Valid(v)))
	}
	return attribute.NewSet(kvs...)
}

func exemplarsOf(all ...*runtimeinfo.Exemplar) (list []metricdata.Exemplar[float64]) {
	for _, x := range all {
		if x != nil {
			list = append(list, metricdata.Exemplar[float64]{
				Time: x.Time, Value: x.Value, TraceID: x.TraceID[:], SpanID: x.SpanID[:],
				FilteredAttributes: []attribute.KeyValue{attribute.String(runtimeinfo.ExemplarRelationKey, runtimeinfo.ExemplarRelation)},
			})
		}
	}
	return list
}

// since removes the exemplars that are not newer than start.
func since(start time.Time, all []metricdata.Exemplar[float64]) []metricdata.Exemplar[float64] {
	return slices.DeleteFunc(all, func(x metricdata.Exemplar[float64]) bool { return !x.Time.After(start) })
}

// baseline has the values of the snapshot that was delivered last, which deltas are
// relative to. A failed Export does not change it, so that the next delta includes
// what the failed one had.
type baseline struct {
	delivered   bool
	seq         uint64
	time, start time.Time
	values      map[string]value // by seriesKey
}

func baselineOf(s *runtimeinfo.Snapshot, values map[string]value) baseline {
	return baseline{delivered: true, seq: s.Seq, time: s.Time, start: s.Start, values: values}
}

// value is the value of a series: a number or a histogram.
type value struct {
	number    float64
	histogram *runtimeinfo.Histogram
}

// isOf reports whether s is the snapshot that was delivered last. The agent exports a
// snapshot again when only its events failed.
func (b *baseline) isOf(s *runtimeinfo.Snapshot) bool {
	return b.delivered && b.seq == s.Seq && b.time.Equal(s.Time) && b.start.Equal(s.Start)
}

func seriesKey(p *runtimeinfo.Point) string {
	return p.Metric.Key() + "\xff" + strings.Join(p.Labels, "\xff") // valid UTF-8 has no byte 0xff
}
