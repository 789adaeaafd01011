// SPDX-License-Identifier: Apache-2.0

package prom

import "github.com/prometheus/client_golang/prometheus"

// target collects target_info, OpenTelemetry's convention for resource attributes
// in Prometheus: one series whose labels are the resource of the newest snapshot.
// It is not part of [Exporter.Collect], because the application's registry may
// have a target_info already.
type target struct{ e *Exporter }

// Describe sends nothing: the labels are unknown before the first snapshot.
func (target) Describe(chan<- *prometheus.Desc) {}

func (t target) Collect(ch chan<- prometheus.Metric) {
	s, _ := t.e.current()
	if s == nil || len(s.Resource) == 0 {
		return
	}
	labels := make(prometheus.Labels, len(s.Resource))
	for _, a := range s.Resource {
		name, value := labelName(a.Key), valid(a.Value)
		// Keys that map to the same label name are joined, as the convention demands.
		if first, ok := labels[name]; ok {
			value = first + ";" + value
		}
		labels[name] = value
	}
	desc := prometheus.NewDesc("target_info", "Target metadata", nil, labels)
	if m, err := prometheus.NewConstMetric(desc, prometheus.GaugeValue, 1); err == nil {
		ch <- m
	}
}
