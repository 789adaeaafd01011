// SPDX-License-Identifier: Apache-2.0

package prom

import (
	"strings"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// namespace keeps our families apart from all others in a registry: a name taken
// twice fails the scrape of the whole registry, not just ours.
const namespace = "gmpulse_"

// Name returns the name of the family that Prometheus knows m by: dots become
// underscores, with "gmpulse_" before the name unless it begins so already, then
// the unit in words unless the name ends in it, then "_total" for a counter. A
// gauge queue.delay in s is gmpulse_queue_delay_seconds. A histogram's series
// have the usual suffixes after it.
//
// Any name and unit give a legal name. Name is a pure function: it needs no Exporter.
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

// labelName makes a legal label name of an attribute key, by the rules of
// OpenTelemetry: those that begin with two underscores are Prometheus's own.
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

// legal replaces all but ASCII letters, digits and underscores. Colons are legal
// too, but meant for recording rules.
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

// unitWords spells out a UCUM unit, empty for none: By/s is bytes_per_second.
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

// withoutAnnotations removes what UCUM has in braces: {goroutine} is a remark, not a unit.
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
