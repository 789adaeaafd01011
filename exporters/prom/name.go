// SPDX-License-Identifier: Apache-2.0

package prom

import (
	"strings"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// namespace is the prefix of all family names. It prevents conflicts with other
// collectors, which would fail the scrape of the whole registry.
const namespace = "gmpulse_"

// Name returns the Prometheus family name of m. Dots become underscores, the prefix
// "gmpulse_" is added unless the name has it, the unit in words is added unless the
// name ends in it, and a counter ends in "_total". A gauge queue.delay in s is
// gmpulse_queue_delay_seconds. The series of a histogram end in _bucket, _sum and
// _count.
//
// The result is a legal name for any name and unit.
func Name(m *runtimeinfo.Metric) string {
	name := legal(m.Name)
	if !strings.HasPrefix(name, namespace) {
		name = namespace + name
	}
	if m.Kind == runtimeinfo.KindCounter {
		name = strings.TrimSuffix(name, "_total")
	}
	if unit := unitWords(m.Unit); unit != "" && !strings.HasSuffix(name, "_"+unit) {
		name += "_" + unit
	}
	if m.Kind == runtimeinfo.KindCounter {
		name += "_total"
	}
	return name
}

// labelName returns a legal label name for an attribute key, by OpenTelemetry's
// rules: Prometheus reserves names that begin with two underscores.
func labelName(key string) string {
	name := legal(key)
	switch {
	case strings.HasPrefix(name, "__"):
		return "key" + name
	case name == "", name[0] >= '0' && name[0] <= '9':
		return "key_" + name
	default:
		return name
	}
}

// legal replaces all characters except ASCII letters, digits and underscores with
// underscores. Colons are legal too, but reserved for recording rules.
func legal(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		default:
			return '_'
		}
	}, s)
}

// unitWords returns a UCUM unit in words: By/s is bytes_per_second. It returns the
// empty string if there is no unit.
func unitWords(unit string) string {
	unit = withoutAnnotations(unit)
	over, under, isRate := strings.Cut(unit, "/")
	if !isRate {
		return unitWord(unit)
	}
	if over == "1" { // 1/s is a frequency, not a ratio
		over = ""
	}
	return strings.TrimPrefix(unitWord(over)+"_per_"+strings.TrimSuffix(unitWord(under), "s"), "_")
}

// withoutAnnotations removes UCUM annotations: {goroutine} is an annotation, not a unit.
func withoutAnnotations(unit string) string {
	for {
		before, rest, found := strings.Cut(unit, "{")
		if !found {
			return unit
		}
		_, after, _ := strings.Cut(rest, "}")
		unit = before + after
	}
}

func unitWord(unit string) string {
	switch unit {
	case "s":
		return "seconds"
	case "ms":
		return "milliseconds"
	case "us":
		return "microseconds"
	case "ns":
		return "nanoseconds"
	case "By":
		return "bytes"
	case "%":
		return "percent"
	case "1":
		return "ratio"
	default:
		return strings.Trim(legal(unit), "_")
	}
}
