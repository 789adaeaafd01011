// SPDX-License-Identifier: Apache-2.0

package prom_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/gmpulse/gmpulse/exporters/prom"
	"github.com/gmpulse/gmpulse/internal/catalogue"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

func TestName(t *testing.T) {
	const gauge, upDown, counter, histogram = runtimeinfo.KindGauge, runtimeinfo.KindUpDownCounter, runtimeinfo.KindCounter, runtimeinfo.KindHistogram
	for _, c := range []struct {
		name, unit string
		kind       runtimeinfo.Kind
		want       string
	}{
		{"queue.depth", "", gauge, "gmpulse_queue_depth"},
		{"queue.depth", "{job}", upDown, "gmpulse_queue_depth"},
		{"queue.delay", "s", histogram, "gmpulse_queue_delay_seconds"},
		{"queue.size", "By", upDown, "gmpulse_queue_size_bytes"},
		{"queue.fill", "1", gauge, "gmpulse_queue_fill_ratio"},
		{"queue.fill", "%", gauge, "gmpulse_queue_fill_percent"},
		{"queue.jobs", "{job}", counter, "gmpulse_queue_jobs_total"},
		{"queue.busy", "s", counter, "gmpulse_queue_busy_seconds_total"},
		{"gmpulse.queue.depth", "", gauge, "gmpulse_queue_depth"},
		{"gmpulse_queue", "", gauge, "gmpulse_queue"},
		{"gmpulsed.queue", "", gauge, "gmpulse_gmpulsed_queue"},
		// Namespaces that every metric here has are not repeated.
		{"go.queue.depth", "", gauge, "gmpulse_queue_depth"},
		{"go.", "", gauge, "gmpulse_go_"},
		{"gogo.queue", "", gauge, "gmpulse_gogo_queue"},
		// A gauge does not end in _count.
		{"go.goroutine.count", "{goroutine}", upDown, "gmpulse_goroutines"},
		{"system.cpu.logical.count", "{cpu}", upDown, "gmpulse_system_cpu_logical_cpus"},
		{"queue.count", "", gauge, "gmpulse_queues"},
		{"queue.count", "{job}", counter, "gmpulse_queue_count_total"},
		{"queue.job.count", "{job}", gauge, "gmpulse_queue_jobs"},
		{"count", "{job}", gauge, "gmpulse_count"},
		// A unit or suffix is not repeated.
		{"queue.seconds", "s", gauge, "gmpulse_queue_seconds"},
		{"queue.seconds", "s", counter, "gmpulse_queue_seconds_total"},
		{"queue.jobs.total", "", counter, "gmpulse_queue_jobs_total"},
		{"queue.busy.seconds.total", "s", counter, "gmpulse_queue_busy_seconds_total"},
		{"queue.busy.total", "s", counter, "gmpulse_queue_busy_seconds_total"},
		// A gauge may end in total; "nanoseconds" does not end in the word seconds.
		{"queue.total", "", gauge, "gmpulse_queue_total"},
		{"queue.nanoseconds", "s", gauge, "gmpulse_queue_nanoseconds_seconds"},
		// Other units.
		{"queue.delay", "ms", gauge, "gmpulse_queue_delay_milliseconds"},
		{"queue.delay", "us", gauge, "gmpulse_queue_delay_microseconds"},
		{"queue.delay", "ns", gauge, "gmpulse_queue_delay_nanoseconds"},
		{"queue.input", "By/s", gauge, "gmpulse_queue_input_bytes_per_second"},
		{"queue.input", "{job}/s", gauge, "gmpulse_queue_input_per_second"},
		{"queue.input", "1/s", gauge, "gmpulse_queue_input_per_second"},
		{"queue.heat", "Cel", gauge, "gmpulse_queue_heat_Cel"},
		{"queue.mass", "k{x}g", gauge, "gmpulse_queue_mass_kg"},
		{"queue.odd", "{unclosed", gauge, "gmpulse_queue_odd"},
		{"queue.odd", "m²", gauge, "gmpulse_queue_odd_m"},
		// Illegal characters.
		{"", "", gauge, "gmpulse_"},
		{"9-lives:ümlaut", "", gauge, "gmpulse_9_lives__mlaut"},
		{"bad\xff", "", gauge, "gmpulse_bad_"},
	} {
		if got := prom.Name(&runtimeinfo.Metric{Name: c.name, Unit: c.unit, Kind: c.kind}); got != c.want {
			t.Errorf("Name of the %v %q in %q is %s, want %s", c.kind, c.name, c.unit, got, c.want)
		}
	}
}

func FuzzName(f *testing.F) {
	for _, m := range catalogue.All() {
		f.Add(m.Name, m.Unit, byte(m.Kind))
	}
	f.Add("\xff.total", "{a}%/s", byte(runtimeinfo.KindCounter))
	f.Add("total_total", "total", byte(runtimeinfo.KindCounter))
	legal := regexp.MustCompile(`^gmpulse_[a-zA-Z0-9_]*$`)
	f.Fuzz(func(t *testing.T, name, unit string, kind byte) {
		m := &runtimeinfo.Metric{Name: name, Unit: unit, Kind: runtimeinfo.Kind(kind)}
		once := prom.Name(m)
		if !legal.MatchString(once) {
			t.Errorf("illegal name %q", once)
		}
		if again := prom.Name(m); again != once {
			t.Errorf("not stable: %q, then %q", once, again)
		}
		m.Name = once
		if twice := prom.Name(m); twice != once {
			t.Errorf("not idempotent: %q becomes %q", once, twice)
		}
		if m.Kind == runtimeinfo.KindCounter && !strings.HasSuffix(once, "_total") {
			t.Errorf("the counter %q has no suffix", once)
		}
	})
}

// TestNamesMatchTheGoldenFile exists because names are API: a rename must show in review.
func TestNamesMatchTheGoldenFile(t *testing.T) {
	var b strings.Builder
	b.WriteString("# Prometheus name, labels, kind, unit: one line per metric of the catalogue; default marks the default set.\n")
	b.WriteString("# Names are API. Written by: go test ./exporters/prom -run TestNamesMatchTheGoldenFile -update\n")
	for _, m := range catalogue.All() {
		set := ""
		if !m.Detail {
			set = " default"
		}
		fmt.Fprintf(&b, "%s{%s} %s %q%s\n", prom.Name(m), strings.Join(labelPairs(m), ","), m.Kind, m.Unit, set)
	}
	golden(t, "testdata/names.golden", b.String())
}

// labelPairs returns the labels of a metric as in a query, with * for any value.
func labelPairs(m *runtimeinfo.Metric) []string {
	var pairs []string
	if m.Attr.Key != "" {
		pairs = append(pairs, fmt.Sprintf("%s=%q", label(m.Attr.Key), m.Attr.Value))
	}
	for _, k := range m.Keys {
		pairs = append(pairs, label(k)+"=*")
	}
	return pairs
}

// label returns the label name for an attribute key of the catalogue.
func label(key string) string {
	return strings.ReplaceAll(strings.TrimPrefix(strings.TrimPrefix(key, "gmpulse."), "go."), ".", "_")
}
