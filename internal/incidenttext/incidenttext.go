// SPDX-License-Identifier: Apache-2.0

// Package incidenttext describes incidents in English and Chinese, for messages to people.
package incidenttext

import (
	"cmp"
	"strconv"
	"strings"

	"github.com/gmpulse/gmpulse/internal/units"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// Kind returns the name of a kind of incident, such as "goroutine leak".
func Kind(kind string) string {
	switch kind {
	case "leak":
		return "goroutine leak"
	case "stuck":
		return "stuck requests"
	case "unclosed":
		return "unclosed HTTP responses"
	case "ceiling":
		return "ceiling reached"
	default:
		return cmp.Or(kind, "incident")
	}
}

// Title describes an incident in one line: what, how much, where and under which root span.
func Title(i *runtimeinfo.Incident) string {
	var b strings.Builder
	b.WriteString(Kind(i.Kind) + ": " + size(i))
	if i.Site != "" {
		b.WriteString(" at " + i.Site)
	}
	if i.Root != "" && i.Site != "" { // the name of a signal has its root span
		b.WriteString(noun(i, ", created under ", ", requested under ") + i.Root)
	}
	return b.String()
}

// size returns the size of an incident, such as "320 goroutines" or "gc.cpu at 25 %".
func size(i *runtimeinfo.Incident) string {
	if i.Signal != "" {
		return i.Signal + " at " + units.Format(i.Size, i.Unit)
	}
	return strconv.FormatFloat(i.Size, 'f', -1, 64) + noun(i, " goroutines", " response bodies")
}

// noun returns what the size of an incident counts.
func noun(i *runtimeinfo.Incident, goroutines, bodies string) string {
	if i.Kind == "unclosed" {
		return bodies
	}
	return goroutines
}
