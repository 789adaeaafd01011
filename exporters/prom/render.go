package prom

import (
	"errors"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// rendering is what one scrape remembers of the values that it has rendered.
type rendering struct {
	plan *plan
	seen map[series]struct{}
}

// series identifies one value of a metric with labels.
type series struct {
	metric *runtimeinfo.Metric
	labels string
}

// metric renders one point. ok is false where a registry would refuse it.
func (r *rendering) metric(p runtimeinfo.Point) (m prometheus.Metric, ok bool) {
	d := r.plan.descs[p.Metric]
	if d == nil {
		return nil, false
	}
	values := validAll(p.Labels)
	if len(p.Metric.Keys) > 0 && !r.first(p.Metric, values) {
		return nil, false
	}
	var err error
	switch p.Metric.Kind {
	case runtimeinfo.KindHistogram:
		m, err = histogram(d, p.Histogram, values)
	case runtimeinfo.KindCounter:
		m, err = prometheus.NewConstMetric(d, prometheus.CounterValue, p.Number, values...)
	case runtimeinfo.KindGauge, runtimeinfo.KindUpDownCounter:
		m, err = prometheus.NewConstMetric(d, prometheus.GaugeValue, p.Number, values...)
	default:
		return nil, false
	}
	return m, err == nil
}

// first tells whether no value of m had these labels before.
func (r *rendering) first(m *runtimeinfo.Metric, values []string) bool {
	s := series{m, strings.Join(values, "\xff")} // a byte that is not in UTF-8
	if _, twice := r.seen[s]; twice {
		return false
	}
	r.seen[s] = struct{}{}
	return true
}

// validAll is valid for each value; it copies only where there is something to
// replace, since the values belong to the snapshot.
func validAll(values []string) []string {
	for i, v := range values {
		if w := valid(v); w != v {
			values = slices.Clone(values)
			values[i] = w
		}
	}
	return values
}

// histogram renders a classic histogram, whose counts are cumulative over buckets.
func histogram(d *prometheus.Desc, h *runtimeinfo.Histogram, values []string) (prometheus.Metric, error) {
	if h == nil || len(h.Counts) != len(h.Bounds)+1 {
		return nil, errors.New("histogram without one count for each bucket")
	}
	buckets := make(map[float64]uint64, len(h.Bounds))
	var n uint64
	for i, bound := range h.Bounds {
		n += h.Counts[i]
		buckets[bound] = n
	}
	return prometheus.NewConstHistogram(d, h.Count(), h.Sum, buckets, values...)
}
