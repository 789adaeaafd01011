package prom

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// metric renders a value for a registry.
func (v *value) metric() (prometheus.Metric, error) {
	d := v.form.desc
	switch v.Metric.Kind {
	case runtimeinfo.KindHistogram:
		return histogram(d, v.Histogram, v.Labels)
	case runtimeinfo.KindCounter:
		return prometheus.NewConstMetric(d, prometheus.CounterValue, v.Number, v.Labels...)
	default:
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
