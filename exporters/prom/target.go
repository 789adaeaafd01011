package prom

import (
	"github.com/prometheus/client_golang/prometheus"
)

// target publishes the resource of the newest snapshot as the labels of one
// series, named as OpenTelemetry's convention for Prometheus has it. It is no
// part of the Exporter as a collector: a registry of the user's may have one.
type target struct{ e *Exporter }

// Describe sends nothing: the labels are not known before the first snapshot.
func (target) Describe(chan<- *prometheus.Desc) {}

func (t target) Collect(ch chan<- prometheus.Metric) {
	s := t.e.state.Load().snapshot
	if s == nil || len(s.Resource) == 0 {
		return
	}
	all := make(prometheus.Labels, len(s.Resource))
	for _, a := range s.Resource {
		name, value := labelName(a.Key), valid(a.Value)
		// Keys that differ in a dot only share a label, by the same convention.
		if other, twice := all[name]; twice {
			value = other + ";" + value
		}
		all[name] = value
	}
	d := prometheus.NewDesc("target_info", "Target metadata", nil, all)
	if m, err := prometheus.NewConstMetric(d, prometheus.GaugeValue, 1); err == nil {
		ch <- m
	}
}
