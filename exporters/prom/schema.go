// SPDX-License-Identifier: Apache-2.0

package prom

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// schema holds the descriptors of a list of metrics. It is immutable.
//
// It rejects every metric that a registry would reject, because a registry that
// meets one fails the whole scrape.
type schema struct {
	metrics  []*runtimeinfo.Metric
	descs    map[*runtimeinfo.Metric]*prometheus.Desc // nil for a metric that is not selected
	rejected map[string]error                         // by Metric.Key
	families map[string]family                        // by name
	samples  map[string]string                        // sample name -> name of the family that uses it
}

// family is what all metrics of one name must have in common.
type family struct {
	typ                runtimeinfo.Kind
	help, unit, labels string
}

// newSchema returns the schema for the selected metrics. Names that base uses
// stay reserved: a metric that conflicts with one of them is rejected. base may be nil.
func newSchema(base *schema, metrics []*runtimeinfo.Metric, selected exporters.Selection) *schema {
	s := &schema{
		metrics:  metrics,
		descs:    make(map[*runtimeinfo.Metric]*prometheus.Desc, len(metrics)),
		rejected: map[string]error{},
		families: map[string]family{},
		samples:  map[string]string{},
	}
	if base != nil {
		s.families, s.samples = maps.Clone(base.families), maps.Clone(base.samples)
	}
	taken := map[string]bool{} // family name and value of the constant label
	for _, m := range metrics {
		if !selected.Match(m) {
			s.descs[m] = nil
			continue
		}
		if err := s.add(m, taken); err != nil {
			s.rejected[m.Key()] = err
		}
	}
	return s
}

func (s *schema) add(m *runtimeinfo.Metric, taken map[string]bool) error {
	name, help, unit := Name(m), valid(m.Help), unitWords(m.Unit)
	constant, variable := labels(m)
	desc := prometheus.V2.NewDesc(name, help, prometheus.UnconstrainedLabels(variable), constant, prometheus.WithUnit(unit))
	if err := desc.Err(); err != nil {
		return err
	}
	names := append([]string{labelName(m.Attr.Key)}, variable...)
	f := family{typ: promKind(m.Kind), help: help, unit: unit, labels: strings.Join(names, ",")}
	if f.typ == runtimeinfo.KindHistogram && slices.Contains(names, model.BucketLabel) {
		return fmt.Errorf("a histogram cannot have the label %s", model.BucketLabel)
	}
	series := name + "\xff" + valid(m.Attr.Value)
	if taken[series] {
		return fmt.Errorf("%s exists already with the same attribute", name)
	}
	if err := s.reserve(name, f); err != nil {
		return err
	}
	taken[series] = true
	s.descs[m] = desc
	return nil
}

// reserve reserves the sample names of a family. If the family exists already,
// reserve checks that f equals it.
func (s *schema) reserve(name string, f family) error {
	if existing, ok := s.families[name]; ok {
		if existing != f {
			return fmt.Errorf("%s exists already with other help, unit, labels or type", name)
		}
		return nil
	}
	names, err := sampleNames(name, f.typ)
	if err != nil {
		return err
	}
	for _, n := range names {
		if owner, ok := s.samples[n]; ok {
			return fmt.Errorf("%s conflicts with %s of %s", name, n, owner)
		}
	}
	for _, n := range names {
		s.samples[n] = name
	}
	s.families[name] = f
	return nil
}

// sampleNames returns all names that a family uses in the text format or in
// OpenMetrics, where a counter's family is named without its suffix.
func sampleNames(name string, k runtimeinfo.Kind) ([]string, error) {
	switch k {
	case runtimeinfo.KindGauge, runtimeinfo.KindUpDownCounter:
		return []string{name}, nil
	case runtimeinfo.KindCounter:
		return []string{name, strings.TrimSuffix(name, "_total")}, nil
	case runtimeinfo.KindHistogram:
		return []string{name, name + "_bucket", name + "_sum", name + "_count"}, nil
	default:
		return nil, fmt.Errorf("unknown kind %d", k)
	}
}

// promKind returns k, or KindGauge for an up-down counter: Prometheus has one type for both.
func promKind(k runtimeinfo.Kind) runtimeinfo.Kind {
	if k == runtimeinfo.KindUpDownCounter {
		return runtimeinfo.KindGauge
	}
	return k
}

// labels returns the label that all values of m share, and the names of the
// labels that differ between them.
func labels(m *runtimeinfo.Metric) (constant prometheus.Labels, variable []string) {
	if m.Attr.Key != "" {
		constant = prometheus.Labels{labelName(m.Attr.Key): valid(m.Attr.Value)}
	}
	variable = make([]string, len(m.Keys))
	for i, k := range m.Keys {
		variable[i] = labelName(k)
	}
	return constant, variable
}
