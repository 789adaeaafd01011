// SPDX-License-Identifier: Apache-2.0

package prom

import (
	"maps"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	targetName = "target_info"
	targetHelp = "Target metadata"
)

// target publishes the resource of the newest snapshot as the labels of one
// series, named as OpenTelemetry's convention for Prometheus has it. It is no
// part of the Exporter as a collector: a registry of the user's may have one.
type target struct{ e *Exporter }

// Describe sends nothing: the labels are not known before the first snapshot.
func (target) Describe(chan<- *prometheus.Desc) {}

func (t target) Collect(ch chan<- prometheus.Metric) {
	st := t.e.state.Load()
	if !st.hasTarget() {
		return
	}
	d := prometheus.NewDesc(targetName, targetHelp, nil, st.target())
	if m, err := prometheus.NewConstMetric(d, prometheus.GaugeValue, 1); err == nil {
		ch <- m
	}
}

func (st *state) hasTarget() bool { return st.snapshot != nil && len(st.snapshot.Resource) > 0 }

// target returns the labels of the resource.
func (st *state) target() prometheus.Labels {
	all := make(prometheus.Labels, len(st.snapshot.Resource))
	for _, a := range st.snapshot.Resource {
		name, value := labelName(a.Key), valid(a.Value)
		// Keys that differ in a dot only share a label, by the same convention.
		if other, twice := all[name]; twice {
			value = other + ";" + value
		}
		all[name] = value
	}
	return all
}

// target renders the same as text.
func (t *text) target(labels prometheus.Labels) {
	t.out = append(t.out, "# HELP "+targetName+" "+targetHelp+"\n# TYPE "+targetName+" gauge\n"+targetName...)
	separator := byte('{')
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		t.out = append(append(append(t.out, separator), name...), `="`...)
		t.out = append(appendEscaped(t.out, labels[name]), '"')
		separator = ','
	}
	t.out = append(t.out, "} "...)
	t.number(1, nil)
}
