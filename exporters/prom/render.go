package prom

import (
	"encoding/hex"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// metric renders a value for a registry.
func (v *value) metric() (prometheus.Metric, error) {
	d := v.form.desc
	switch v.Metric.Kind {
	case runtimeinfo.KindHistogram:
		m, err := histogram(d, v.Histogram, v.Labels)
		return withExemplars(m, err, v.Histogram.Exemplars...)
	case runtimeinfo.KindCounter:
		m, err := prometheus.NewConstMetric(d, prometheus.CounterValue, v.Number, v.Labels...)
		return withExemplars(m, err, v.Exemplar)
	default: // never on a gauge: the whole scrape would fail
		return prometheus.NewConstMetric(d, prometheus.GaugeValue, v.Number, v.Labels...)
	}
}

// histogram renders a classic histogram, whose counts are cumulative over buckets.
func histogram(d *prometheus.Desc, h *runtimeinfo.Histogram, values []string) (prometheus.Metric, error) {
	buckets := make(map[float64]uint64, len(h.Bounds))
	var n uint64
	for i, bound := range h.Bounds {
		n += h.Counts[i]
		buckets[bound] = n
	}
	return prometheus.NewConstHistogram(d, h.Count(), h.Sum, buckets, values...)
}

// withExemplars adds those exemplars that there are.
func withExemplars(m prometheus.Metric, err error, all ...*runtimeinfo.Exemplar) (prometheus.Metric, error) {
	var some []prometheus.Exemplar
	for _, x := range all {
		if x != nil {
			some = append(some, prometheus.Exemplar{Value: x.Value, Timestamp: x.Time, Labels: prometheus.Labels{
				"trace_id":                      hex.EncodeToString(x.TraceID[:]),
				"span_id":                       hex.EncodeToString(x.SpanID[:]),
				runtimeinfo.ExemplarRelationKey: runtimeinfo.ExemplarRelation,
			}})
		}
	}
	if err != nil || len(some) == 0 {
		return m, err
	}
	return prometheus.NewMetricWithExemplars(m, some...)
}

// exemplarOf returns the exemplar of a bucket, nil for none.
func exemplarOf(h *runtimeinfo.Histogram, bucket int) *runtimeinfo.Exemplar {
	if bucket < len(h.Exemplars) {
		return h.Exemplars[bucket]
	}
	return nil
}
