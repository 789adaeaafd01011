// SPDX-License-Identifier: Apache-2.0

package prom_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/prom"
	"github.com/gmpulse/gmpulse/internal/catalogue"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// TestMetricReference compares docs/metrics.md with the catalogue, or writes it.
func TestMetricReference(t *testing.T) {
	golden(t, "../../docs/metrics.md", reference(catalogue.All()))
}

const referenceHead = `<!-- Generated from the catalogue by: go test ./exporters/prom -run TestMetricReference -update. Do not edit. -->

# Which metrics does gmpulse export, and how are they named?

Metrics of the Go runtime, the process and the machine have the names of OpenTelemetry's
semantic conventions if the conventions define them. All other names begin with ` + "`gmpulse.`" + `.
If the platform, the container or the Go version does not provide a value, the metric is
absent, never zero.

OTLP, Fluentd, logs and files use these names. Prometheus names are derived from them by one
rule. A leading ` + "`go.` or `gmpulse.`" + ` is removed, dots become underscores, and ` + "`gmpulse_`" + ` comes
first. A final ` + "`.count`" + ` of a gauge, which Prometheus reserves for histograms, becomes the unit
in the plural: ` + "`go.goroutine.count` is `gmpulse_goroutines`" + `. The unit follows in words unless
the name ends in it, and a counter ends in ` + "`_total`" + `. An attribute is a label by the same rule:
` + "`go.memory.type` is `memory_type`" + `.

Units are UCUM: ` + "`s`" + ` is seconds, ` + "`By`" + ` is bytes, ` + "`1`" + ` is a ratio from 0 to 1, and ` + "`{thing}`" + ` is a
number of things. A counter is cumulative. An updowncounter is a gauge whose values may be
summed over instances; in Prometheus it is a gauge. A histogram has the series ` + "`_bucket`,\n`_sum` and `_count`" + ` in Prometheus. The attributes column lists the values of an attribute if
they are fixed.

The default column marks the default set: the metrics that an exporter publishes unless it is configured
otherwise, with the values of the attribute if only some are in it. The live page and evidence have
every metric. ` + "`GMPULSE_METRICS`" + ` adds and removes metrics and subsystems, which are the headings below
in lower case, see [configuration.md](configuration.md#which-metrics-does-metrics-serve).

`

func reference(all []*runtimeinfo.Metric) string {
	var b strings.Builder
	b.WriteString(referenceHead)
	for section := range sections(all) {
		fmt.Fprintf(&b, "- [%s](#%s)\n", title(section), section)
	}
	rest := all
	for section := range sections(all) {
		fmt.Fprintf(&b, "\n## %s\n\n| Metric | Attributes | Prometheus | Kind | Unit | Default | Meaning |\n|---|---|---|---|---|---|---|\n", title(section))
		for len(rest) > 0 && rest[0].Subsystem == section {
			n := 1
			for n < len(rest) && rest[n].Name == rest[0].Name {
				n++
			}
			b.WriteString(referenceRow(rest[:n]))
			rest = rest[n:]
		}
	}
	return b.String()
}

// sections iterates over the subsystems in the order of the catalogue.
func sections(all []*runtimeinfo.Metric) func(func(runtimeinfo.Subsystem) bool) {
	return func(yield func(runtimeinfo.Subsystem) bool) {
		for i, m := range all {
			if (i == 0 || all[i-1].Subsystem != m.Subsystem) && !yield(m.Subsystem) {
				return
			}
		}
	}
}

// referenceRow returns the line of one family.
func referenceRow(rows []*runtimeinfo.Metric) string {
	m := rows[0]
	var attributes []string
	if m.Attr.Key != "" {
		values := make([]string, len(rows))
		for i, row := range rows {
			values[i] = row.Attr.Value
		}
		attributes = append(attributes, fmt.Sprintf("`%s`: %s", m.Attr.Key, strings.Join(values, ", ")))
	}
	for _, k := range m.Keys {
		attributes = append(attributes, "`"+k+"`")
	}
	unit := ""
	if m.Unit != "" {
		unit = "`" + m.Unit + "`"
	}
	return fmt.Sprintf("| `%s` | %s | `%s` | %s | %s | %s | %s |\n",
		m.Name, strings.Join(attributes, "<br>"), prom.Name(m), m.Kind, unit, inDefault(rows), strings.ReplaceAll(m.Help, "|", `\|`))
}

// inDefault returns yes, or the values of the attribute whose metrics are in the default set.
func inDefault(rows []*runtimeinfo.Metric) string {
	var values []string
	for _, m := range rows {
		if (exporters.Selection{}).Match(m) {
			values = append(values, m.Attr.Value)
		}
	}
	if len(values) == len(rows) {
		return "yes"
	}
	return strings.Join(values, ", ")
}

// title returns the heading of a subsystem.
func title(s runtimeinfo.Subsystem) string {
	if s == runtimeinfo.SubsystemGC || s == runtimeinfo.SubsystemCPU {
		return strings.ToUpper(string(s))
	}
	return strings.ToUpper(string(s[:1])) + string(s[1:])
}
