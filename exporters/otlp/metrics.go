package otlp

import (
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// conversion turns one snapshot into the SDK's metric data.
type conversion struct {
	snapshot *runtimeinfo.Snapshot
	prev     *previous // nil: nothing was delivered yet
	next     *previous
	exporter sdkmetric.Exporter // for its temporality

	metrics  []metricdata.Metrics
	families map[string]int // index into metrics, by name
	points   int
}

// add adds one value to the metric of its name.
func (c *conversion) add(p runtimeinfo.Point) {
	m := p.Metric
	i, ok := c.families[m.Name]
	if !ok {
		i = len(c.metrics)
		c.families[m.Name] = i
		c.metrics = append(c.metrics, metricdata.Metrics{Name: m.Name, Description: valid(m.Help), Unit: m.Unit, Data: c.empty(m.Kind)})
	}
	attrs := attributesOf(p)
	switch data := c.metrics[i].Data.(type) {
	case metricdata.Gauge[float64]:
		data.DataPoints = append(data.DataPoints, metricdata.DataPoint[float64]{Attributes: attrs, Time: c.snapshot.Time, Value: p.Number})
		c.metrics[i].Data = data
	case metricdata.Sum[float64]:
		if d, ok := c.sum(p, attrs, data.Temporality); ok {
			data.DataPoints = append(data.DataPoints, d)
		}
		c.metrics[i].Data = data
	case metricdata.Histogram[float64]:
		if d, ok := c.histogram(p, attrs, data.Temporality); ok {
			data.DataPoints = append(data.DataPoints, d)
		}
		c.metrics[i].Data = data
	}
	c.points++
}

// empty returns the data of a kind, without points. Our values are looked up, not
// counted, so that they are those of observable instruments.
func (c *conversion) empty(k runtimeinfo.Kind) metricdata.Aggregation {
	switch k {
	case runtimeinfo.KindCounter:
		return metricdata.Sum[float64]{IsMonotonic: true, Temporality: c.exporter.Temporality(sdkmetric.InstrumentKindObservableCounter)}
	case runtimeinfo.KindUpDownCounter:
		return metricdata.Sum[float64]{Temporality: c.exporter.Temporality(sdkmetric.InstrumentKindObservableUpDownCounter)}
	case runtimeinfo.KindHistogram:
		return metricdata.Histogram[float64]{Temporality: c.exporter.Temporality(sdkmetric.InstrumentKindHistogram)}
	default:
		return metricdata.Gauge[float64]{}
	}
}

// sum returns the data point of a counter or up-down counter. ok is false where
// there is no delta yet.
func (c *conversion) sum(p runtimeinfo.Point, attrs attribute.Set, t metricdata.Temporality) (d metricdata.DataPoint[float64], ok bool) {
	d = metricdata.DataPoint[float64]{
		Attributes: attrs, StartTime: c.snapshot.Start, Time: c.snapshot.Time, Value: p.Number,
		Exemplars: exemplars(p.Exemplar),
	}
	if t != metricdata.DeltaTemporality {
		return d, true
	}
	c.next.numbers[keyOf(p)] = p.Number
	d.StartTime = c.prev.time()
	before, known := c.prev.number(p)
	if !known {
		return d, false
	}
	d.Value -= before
	if d.Value < 0 && p.Metric.Kind == runtimeinfo.KindCounter { // it began anew
		d.Value = p.Number
	}
	d.Exemplars = since(d.StartTime, d.Exemplars)
	return d, true
}

func (c *conversion) histogram(p runtimeinfo.Point, attrs attribute.Set, t metricdata.Temporality) (d metricdata.HistogramDataPoint[float64], ok bool) {
	h := p.Histogram
	d = metricdata.HistogramDataPoint[float64]{
		Attributes: attrs, StartTime: c.snapshot.Start, Time: c.snapshot.Time,
		Count: h.Count(), Sum: h.Sum, Bounds: h.Bounds, BucketCounts: h.Counts,
		Exemplars: exemplars(h.Exemplars...),
	}
	if t != metricdata.DeltaTemporality {
		return d, true
	}
	c.next.histograms[keyOf(p)] = h
	d.StartTime = c.prev.time()
	before, known := c.prev.histogram(p)
	if !known {
		return d, false
	}
	d.Exemplars = since(d.StartTime, d.Exemplars)
	if before.Count() > d.Count || len(before.Counts) != len(h.Counts) { // it began anew
		return d, true
	}
	d.BucketCounts = slices.Clone(h.Counts)
	for i, n := range before.Counts {
		d.BucketCounts[i] -= n
	}
	d.Count -= before.Count()
	d.Sum -= before.Sum
	return d, true
}

func attributesOf(p runtimeinfo.Point) attribute.Set {
	var kvs []attribute.KeyValue
	for k, v := range p.Attrs() {
		kvs = append(kvs, attribute.String(k, valid(v)))
	}
	return attribute.NewSet(kvs...)
}

func exemplars(all ...*runtimeinfo.Exemplar) (some []metricdata.Exemplar[float64]) {
	for _, x := range all {
		if x != nil {
			some = append(some, metricdata.Exemplar[float64]{
				Time: x.Time, Value: x.Value, TraceID: x.TraceID[:], SpanID: x.SpanID[:],
				FilteredAttributes: []attribute.KeyValue{attribute.String(runtimeinfo.ExemplarRelationKey, runtimeinfo.ExemplarRelation)},
			})
		}
	}
	return some
}

// since leaves out exemplars of before: a delta has those of its own time only.
func since(start time.Time, all []metricdata.Exemplar[float64]) []metricdata.Exemplar[float64] {
	return slices.DeleteFunc(all, func(x metricdata.Exemplar[float64]) bool { return !x.Time.After(start) })
}

// previous is what deltas are counted from. A nil one knows nothing.
type previous struct {
	snapshot   *runtimeinfo.Snapshot
	numbers    map[string]float64
	histograms map[string]*runtimeinfo.Histogram
}

func newPrevious(s *runtimeinfo.Snapshot) *previous {
	return &previous{snapshot: s, numbers: map[string]float64{}, histograms: map[string]*runtimeinfo.Histogram{}}
}

// has tells whether the values of s were delivered already: an exporter is handed
// a snapshot again when only its events could not be.
func (p *previous) has(s *runtimeinfo.Snapshot) bool {
	return p != nil && p.snapshot.Seq == s.Seq && p.snapshot.Time.Equal(s.Time) && p.snapshot.Start.Equal(s.Start)
}

func (p *previous) time() time.Time {
	if p == nil {
		return time.Time{}
	}
	return p.snapshot.Time
}

// number returns what a series was. One with labels that was not there was zero:
// it began since. One without was absent, and nobody knows from when it counts.
func (p *previous) number(of runtimeinfo.Point) (v float64, ok bool) {
	if p == nil {
		return 0, false
	}
	v, ok = p.numbers[keyOf(of)]
	return v, ok || of.Metric.Keys != nil
}

func (p *previous) histogram(of runtimeinfo.Point) (*runtimeinfo.Histogram, bool) {
	if p == nil {
		return nil, false
	}
	h, ok := p.histograms[keyOf(of)]
	return h, ok
}

// keyOf identifies a series.
func keyOf(p runtimeinfo.Point) string {
	if len(p.Labels) == 0 {
		return p.Metric.Key()
	}
	return p.Metric.Key() + "\xff" + strings.Join(p.Labels, "\xff")
}
