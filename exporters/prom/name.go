// SPDX-License-Identifier: Apache-2.0

package prom

import (
	"strings"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// namespace is the prefix of all family names. It prevents conflicts with other
// collectors, which would fail the scrape of the whole registry.
const namespace = "gmpulse_"

// Name returns the Prometheus family name of m:
//
//   - A leading "go." or "gmpulse." is removed, dots become underscores, and the prefix
//     "gmpulse_" is added.
//   - A final ".count" of a gauge, which Prometheus reserves for histograms, becomes the
//     unit in the plural: job.count in {job} is gmpulse_jobs.
//   - The unit in words is added unless the name ends in it: a gauge queue.delay in s is
//     gmpulse_queue_delay_seconds.
//   - A counter ends in "_total". The series of a histogram end in _bucket, _sum and
//     _count.
//
// The result is a legal name for any name and unit.
func Name(m *runtimeinfo.Metric) string {
	name := legal(withoutNamespace(m.Name))
	if gauge := m.Kind == runtimeinfo.KindGauge || m.Kind == runtimeinfo.KindUpDownCounter; gauge {
		name = withoutCount(name, m.Unit)
	}
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

// withoutNamespace removes the namespace of the Go runtime or of gmpulse from the name of
// a metric or an attribute: everything here is about one Go process.
func withoutNamespace(name string) string {
	for _, prefix := range []string{"go.", "gmpulse."} {
		if rest, ok := strings.CutPrefix(name, prefix); ok && rest != "" {
			return rest
		}
	}
	return name
}

// withoutCount replaces a final "_count" with the plural of the unit {noun}.
func withoutCount(name, unit string) string {
	stem, found := strings.CutSuffix(name, "_count")
	if !found || stem == "" {
		return name
	}
	noun, isNoun := strings.CutPrefix(strings.TrimSuffix(unit, "}"), "{")
	if noun = legal(noun); !isNoun || noun == "" || strings.HasSuffix(stem, noun) {
		return stem + "s"
	}
	return stem + "_" + noun + "s"
}

// labelName returns a legal label name for an attribute key, without the namespace "go."
// or "gmpulse.", and otherwise by OpenTelemetry's rules: Prometheus reserves names that begin with two underscores.
func labelName(key string) string {
	name := legal(withoutNamespace(key))
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
