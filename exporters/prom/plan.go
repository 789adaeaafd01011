// SPDX-License-Identifier: Apache-2.0

package prom

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// plan tells how to write each metric of one catalogue, worked out once and
// never changed. It refuses what a registry would refuse, because there one
// refusal fails the whole scrape.
type plan struct {
	metrics   []*runtimeinfo.Metric
	forms     map[*runtimeinfo.Metric]*form
	refused   map[string]error // by Metric.Key
	scattered bool             // the metrics of some family are not neighbours

	families map[string]family
	owners   map[string]string // family by each sample name that it occupies
}

// form is how to write the values of one metric: for a registry and as text.
type form struct {
	desc *prometheus.Desc
	pairs
	lines
}

// family is what all metrics of one name have in common.
type family struct {
	kind               runtimeinfo.Kind
	help, unit, labels string
}

// newPlan makes the plan for metrics. Those of base keep their names: whatever
// else is to be published has to fit in with them, in the order given.
func newPlan(base *plan, metrics []*runtimeinfo.Metric) *plan {
	p := &plan{
		metrics:  metrics,
		forms:    make(map[*runtimeinfo.Metric]*form, len(metrics)),
		refused:  map[string]error{},
		families: map[string]family{},
		owners:   map[string]string{},
	}
	if base != nil {
		p.families, p.owners = maps.Clone(base.families), maps.Clone(base.owners)
	}
	taken := map[string]bool{} // family and the value of its constant label
	ranks := map[string]int{}  // of families, in order of appearance
	for _, m := range metrics {
		d, err := p.desc(m, taken)
		if err != nil {
			p.refused[m.Key()] = err
			continue
		}
		name := Name(m)
		rank, known := ranks[name]
		if !known {
			rank = len(ranks)
			ranks[name] = rank
		}
		p.scattered = p.scattered || rank != len(ranks)-1
		p.forms[m] = &form{desc: d, pairs: newPairs(m), lines: newLines(m, rank)}
	}
	return p
}

// covers tells whether the plan was made for this very slice. A reader replaces
// its slice when it learns of a new metric, and never changes it.
func (p *plan) covers(metrics []*runtimeinfo.Metric) bool {
	return len(metrics) == len(p.metrics) && (len(metrics) == 0 || &metrics[0] == &p.metrics[0])
}

func (p *plan) desc(m *runtimeinfo.Metric, taken map[string]bool) (*prometheus.Desc, error) {
	name, help, unit := Name(m), valid(m.Help), unitWords(m.Unit)
	constant, variable := labels(m)
	d := prometheus.V2.NewDesc(name, help, prometheus.UnconstrainedLabels(variable), constant, prometheus.WithUnit(unit))
	if err := d.Err(); err != nil {
		return nil, err
	}
	shape := append([]string{labelName(m.Attr.Key)}, variable...)
	f := family{kind: promKind(m.Kind), help: help, unit: unit, labels: strings.Join(shape, ",")}
	if f.kind == runtimeinfo.KindHistogram && slices.Contains(shape, model.BucketLabel) {
		return nil, fmt.Errorf("the label %s of a histogram is Prometheus's own", model.BucketLabel)
	}
	series := name + "\xff" + valid(m.Attr.Value)
	if taken[series] {
		return nil, fmt.Errorf("%s is there already with the same attribute", name)
	}
	if err := p.join(name, f); err != nil {
		return nil, err
	}
	taken[series] = true
	return d, nil
}

// join reserves the names of a family's samples, or checks that f is like the
// rest of its family.
func (p *plan) join(name string, f family) error {
	if known, ok := p.families[name]; ok {
		if known != f {
			return fmt.Errorf("%s is there already with other help, unit, labels or type", name)
		}
		return nil
	}
	names, err := sampleNames(name, f.kind)
	if err != nil {
		return err
	}
	for _, n := range names {
		if owner, ok := p.owners[n]; ok {
			return fmt.Errorf("%s clashes with %s of %s", name, n, owner)
		}
	}
	for _, n := range names {
		p.owners[n] = name
	}
	p.families[name] = f
	return nil
}

// sampleNames returns all names that a family occupies, in text or OpenMetrics,
// where a counter's family is named without its suffix.
func sampleNames(name string, k runtimeinfo.Kind) ([]string, error) {
	switch k {
	case runtimeinfo.KindGauge, runtimeinfo.KindUpDownCounter:
		return []string{name}, nil
	case runtimeinfo.KindCounter:
		return []string{name, strings.TrimSuffix(name, "_total")}, nil
	case runtimeinfo.KindHistogram:
		return []string{name, name + "_bucket", name + "_sum", name + "_count"}, nil
	default:
		return nil, fmt.Errorf("kind %d is unknown", k)
	}
}

// promKind is the kind as far as Prometheus tells them apart.
func promKind(k runtimeinfo.Kind) runtimeinfo.Kind {
	if k == runtimeinfo.KindUpDownCounter {
		return runtimeinfo.KindGauge
	}
	return k
}

// labels returns the label that all values of m share, and the names of those
// that tell its values apart.
func labels(m *runtimeinfo.Metric) (prometheus.Labels, []string) {
	var constant prometheus.Labels
	if m.Attr.Key != "" {
		constant = prometheus.Labels{labelName(m.Attr.Key): valid(m.Attr.Value)}
	}
	variable := make([]string, len(m.Keys))
	for i, k := range m.Keys {
		variable[i] = labelName(k)
	}
	return constant, variable
}
