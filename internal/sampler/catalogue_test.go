// SPDX-License-Identifier: Apache-2.0

package sampler

import (
	"regexp"
	"runtime/metrics"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/internal/host"
	"github.com/gmpulse/gmpulse/internal/hostfield"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

func TestCatalogueIsOrderedBySubsystem(t *testing.T) {
	order := []runtimeinfo.Subsystem{
		runtimeinfo.SubsystemScheduler, runtimeinfo.SubsystemMemory, runtimeinfo.SubsystemGC, runtimeinfo.SubsystemCPU, runtimeinfo.SubsystemProcess,
		runtimeinfo.SubsystemContainer, runtimeinfo.SubsystemSystem,
	}
	at := 0
	closed := map[string]bool{} // names that occurred before
	last := ""
	for _, m := range Metrics() {
		i := slices.Index(order, m.Subsystem)
		if i < at {
			t.Errorf("%s: subsystem %q after %q", m.Key(), m.Subsystem, order[at])
		}
		at = max(at, i)
		if m.Name != last {
			closed[last] = true
		}
		if closed[m.Name] {
			t.Errorf("%s: rows with the same name must be adjacent", m.Key())
		}
		last = m.Name
	}
}

func TestCatalogueRowsAreComplete(t *testing.T) {
	name := regexp.MustCompile(`^[a-z][a-z0-9]*([._][a-z0-9]+)*$`)
	units := []string{"s", "By", "1", "%", ""}
	families := map[string]*runtimeinfo.Metric{}
	for _, m := range Metrics() {
		if !name.MatchString(m.Name) {
			t.Errorf("%s: invalid name", m.Key())
		}
		if !slices.Contains(units, m.Unit) && !regexp.MustCompile(`^\{[a-z_]+\}(/s)?$`).MatchString(m.Unit) {
			t.Errorf("%s: unknown unit %q", m.Key(), m.Unit)
		}
		if m.Kind.String() == "unknown" {
			t.Errorf("%s: no kind", m.Key())
		}
		if !strings.HasSuffix(m.Help, ".") {
			t.Errorf("%s: help is not a sentence: %q", m.Key(), m.Help)
		}
		f := families[m.Name]
		if f == nil {
			families[m.Name] = m
			continue
		}
		if f.Help != m.Help || f.Unit != m.Unit || f.Kind != m.Kind || f.Attr.Key != m.Attr.Key || m.Attr.Key == "" {
			t.Errorf("%s: differs from %s not only in the value of its attribute", m.Key(), f.Key())
		}
	}
}

func TestCatalogueNamesDoNotClash(t *testing.T) {
	if _, err := runtimeinfo.NewCatalogue(Metrics()...); err != nil {
		t.Error(err)
	}
}

// Each row has exactly one kind of source. This version of Go has every runtime/metrics key, with the
// kind and unit of the row.
func TestCatalogueSourcesExist(t *testing.T) {
	known := map[string]metrics.Description{}
	for _, d := range metrics.All() {
		known[d.Name] = d
	}
	for _, m := range table() {
		s := m.source
		forms := 0
		for _, used := range []bool{s.add != nil, s.histogram != "", s.number != nil, s.pulses} {
			if used {
				forms++
			}
		}
		if forms != 1 {
			t.Errorf("%s: %d kinds of source, want 1", m.Key(), forms)
		}
		if isHistogram := s.bounds != nil || s.pulses; isHistogram != (m.Kind == runtimeinfo.KindHistogram) {
			t.Errorf("%s: kind %v does not match its source", m.Key(), m.Kind)
		}
		for _, k := range slices.Concat(s.add, s.sub, s.over) {
			d, ok := known[k]
			if !ok {
				t.Errorf("%s: this version of Go has no %s", m.Key(), k)
			}
			if s.sub == nil && d.Cumulative != (m.Kind == runtimeinfo.KindCounter) {
				t.Errorf("%s: kind %v, but cumulative is %v for %s", m.Key(), m.Kind, d.Cumulative, k)
			}
			if unit := map[string]string{"bytes": "By", "seconds": "s", "cpu-seconds": "s", "percent": "%"}[k[strings.IndexByte(k, ':')+1:]]; unit != "" && s.over == nil && unit != m.Unit {
				t.Errorf("%s: unit %q, but %s", m.Key(), m.Unit, k)
			}
		}
		if s.histogram != "" && known[s.histogram].Kind != metrics.KindFloat64Histogram {
			t.Errorf("%s: %s is not a histogram in this version of Go", m.Key(), s.histogram)
		}
	}
}

// Every value of the host pass is published exactly once, under its name.
func TestCatalogueHasEveryHostField(t *testing.T) {
	uses := map[string]int{}
	for _, m := range table() {
		uses[m.Key()]++
	}
	pass := host.NewSample()
	for f := range hostfield.Count {
		pass.Set(hostfield.Field(f), float64(f)+1)
	}
	r := NewReader(Config{})
	r.Read(Tick{Time: time.Now(), Host: pass})
	s := r.Snapshot()
	for f, m := range hostfield.Metrics() {
		if v, _ := s.Number(m.Key()); v != float64(f)+1 || uses[m.Key()] != 1 {
			t.Errorf("%s is %v and in %d rows, want %d and 1", m.Key(), v, uses[m.Key()], f+1)
		}
	}
}
