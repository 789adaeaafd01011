// SPDX-License-Identifier: Apache-2.0

package prom

import (
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// collect sends the values of the selected metrics to ch and returns how many it skipped:
// values of rejected metrics, malformed values, and duplicates.
func (sc *schema) collect(s *runtimeinfo.Snapshot, ch chan<- prometheus.Metric) (skipped uint64) {
	type series struct {
		metric *runtimeinfo.Metric
		labels string
	}
	seen := make(map[series]bool, len(s.Metrics()))
	for p := range s.Points() {
		desc, known := sc.descs[p.Metric]
		if desc == nil {
			if !known {
				skipped++
			}
			continue
		}
		values := make([]string, len(p.Labels))
		for i, v := range p.Labels {
			values[i] = valid(v)
		}
		id := series{p.Metric, strings.Join(values, "\xff")} // valid UTF-8 has no byte 0xff
		m, err := newMetric(desc, &p, values)
		if err != nil || seen[id] {
			skipped++
			continue
		}
		seen[id] = true
		ch <- m
	}
	return skipped
}

var errMalformed = errors.New("the value does not match the kind of the metric")

// newMetric returns one value of a snapshot with its exemplars.
func newMetric(desc *prometheus.Desc, p *runtimeinfo.Point, labels []string) (m prometheus.Metric, err error) {
	exemplars := []*runtimeinfo.Exemplar{p.Exemplar}
	switch h := p.Histogram; {
	case (p.Metric.Kind == runtimeinfo.KindHistogram) != (h != nil):
		return nil, errMalformed
	case h != nil:
		exemplars = h.Exemplars
		m, err = newHistogram(desc, h, labels)
	case p.Metric.Kind == runtimeinfo.KindCounter:
		m, err = prometheus.NewConstMetric(desc, prometheus.CounterValue, p.Number, labels...)
	default: // a gauge cannot have exemplars: they would fail the whole scrape
		return prometheus.NewConstMetric(desc, prometheus.GaugeValue, p.Number, labels...)
	}
	if err != nil {
		return nil, err
	}
	var all []prometheus.Exemplar
	for _, x := range exemplars {
		if x != nil {
			all = append(all, newExemplar(x))
		}
	}
	if all == nil {
		return m, nil
	}
	return prometheus.NewMetricWithExemplars(m, all...)
}

func newHistogram(desc *prometheus.Desc, h *runtimeinfo.Histogram, labels []string) (prometheus.Metric, error) {
	if len(h.Counts) != len(h.Bounds)+1 {
		return nil, errMalformed
	}
	buckets := make(map[float64]uint64, len(h.Bounds))
	var n uint64
	for i, bound := range h.Bounds {
		n += h.Counts[i]
		buckets[bound] = n
	}
	classic, err := prometheus.NewConstHistogram(desc, h.Count(), h.Sum, buckets, labels...)
	x := newNative(h)
	if err != nil || x == nil {
		return classic, err
	}
	exponential, err := prometheus.NewConstNativeHistogram(desc, h.Count(), h.Sum, x.positive, nil, x.zero, int32(x.schema), x.threshold, time.Time{}, labels...)
	if err != nil { // counts beyond 2^63
		return classic, nil //nolint:nilerr // the classic form has them
	}
	return histogram{classic, exponential}, nil
}

func newExemplar(x *runtimeinfo.Exemplar) prometheus.Exemplar {
	return prometheus.Exemplar{
		Value:     x.Value,
		Timestamp: x.Time,
		Labels: prometheus.Labels{
			"trace_id":                      hex.EncodeToString(x.TraceID[:]),
			"span_id":                       hex.EncodeToString(x.SpanID[:]),
			runtimeinfo.ExemplarRelationKey: runtimeinfo.ExemplarRelation,
		},
	}
}

// valid replaces invalid UTF-8, which client_golang rejects.
func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
