// SPDX-License-Identifier: Apache-2.0

// Package sentence describes a snapshot in one sentence.
package sentence

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gmpulse/gmpulse/internal/units"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// The metrics, and the signal of a baseline, that the sentence states.
const (
	goroutines = "gmpulse.goroutine.user"
	usedCPU    = "gmpulse.cpu.used"
	usableCPU  = "gmpulse.cpu.usable"
	heap       = "gmpulse.memory.heap_alloc"
	signal     = "goroutines"
)

const (
	maxText      = 120 // bytes of a name
	maxSignals   = 3
	maxIncidents = 2
)

// Of describes s in one sentence for people who read logs:
//
//	checkout: 812 goroutines (usual 40), CPU 0.31 of 2, heap 41 MB, 12 spans active, oldest 3.1s
//	(GET /orders); 1 incident open: leak at main.handle (main.go:42) under GET /orders
//
// It states only what s has. It takes a few microseconds.
func Of(s *runtimeinfo.Snapshot) string {
	var parts []string
	if v, ok := s.Number(goroutines); ok {
		parts = append(parts, units.Format(v, "{goroutine}")+" goroutines"+usual(s.Bands))
	}
	if v, ok := s.Number(usedCPU); ok {
		text := "CPU " + fmt.Sprintf("%.2f", v)
		if of, ok := s.Number(usableCPU); ok {
			text += " of " + units.Format(of, "{cpu}")
		}
		parts = append(parts, text)
	}
	if v, ok := s.Number(heap); ok {
		parts = append(parts, "heap "+units.Format(v, "By"))
	}
	parts = append(parts, spans(s)...)
	sentence := strings.Join(parts, ", ")
	for _, more := range []string{incidents(s), signals(s)} {
		if more != "" && sentence != "" {
			sentence += "; "
		}
		sentence += more
	}
	if name := service(s); name != "" && sentence != "" {
		return cut(name) + ": " + sentence
	}
	return sentence
}

// Unusual reports whether the value of a signal is outside the range that its baseline expects. While an
// anomaly is open the value may be inside.
func Unusual(b *runtimeinfo.Band) bool {
	return !b.Learning && (b.Value < b.Lower || b.Value > b.Upper)
}

// Active returns the number of active local root spans, which is larger than the number of spans in
// the snapshot if there are many.
func Active(s *runtimeinfo.Snapshot) int {
	n := 0
	for i := range s.SpanGroups {
		n += s.SpanGroups[i].Active
	}
	return max(n, len(s.Spans))
}

func service(s *runtimeinfo.Snapshot) string {
	i := slices.IndexFunc(s.Resource, func(a runtimeinfo.Attr) bool { return a.Key == "service.name" })
	if i < 0 {
		return ""
	}
	return s.Resource[i].Value
}

// usual returns the expected number of goroutines if the present one is unusual.
func usual(bands []runtimeinfo.Band) string {
	for i := range bands {
		if b := &bands[i]; b.Signal == signal && Unusual(b) {
			return " (usual " + units.Format(b.Expected, b.Unit) + ")"
		}
	}
	return ""
}

func spans(s *runtimeinfo.Snapshot) []string {
	if s.SpanGroups == nil && len(s.Spans) == 0 {
		return nil // there may be no source of spans
	}
	parts := []string{count(Active(s), "span") + " active"}
	if len(s.Spans) > 0 {
		oldest := &s.Spans[0]
		parts = append(parts, fmt.Sprintf("oldest %s (%s)", seconds(s.Time.Sub(oldest.Start)), cut(oldest.Name)))
	}
	return parts
}

// incidents names the open incidents.
func incidents(s *runtimeinfo.Snapshot) string {
	n := len(s.Incidents)
	if n == 0 {
		return ""
	}
	var names []string
	for _, i := range s.Incidents[:min(n, maxIncidents)] {
		names = append(names, Incident(i))
	}
	text := count(n, "incident") + " open: " + strings.Join(names, ", ")
	if n > maxIncidents {
		text += fmt.Sprintf(" and %d more", n-maxIncidents)
	}
	return text
}

// Incident describes an incident in a few words: leak at main.handle (main.go:42) under GET /orders.
func Incident(i *runtimeinfo.Incident) string {
	text := cut(i.Kind)
	switch {
	case i.Site != "":
		text += " at " + cut(i.Site)
	case i.Signal != "":
		text += " of " + cut(i.Signal)
	}
	if i.Root != "" && !strings.Contains(i.Signal, i.Root) {
		text += " under " + cut(i.Root)
	}
	return text
}

// signals names the unusual signals, except the number of goroutines, which [usual] describes.
func signals(s *runtimeinfo.Snapshot) string {
	var names []string
	for i := range s.Bands {
		if b := &s.Bands[i]; Unusual(b) && b.Signal != signal {
			names = append(names, cut(b.Signal)+" "+units.Format(b.Value, b.Unit))
		}
	}
	switch n := len(names); {
	case n == 0:
		return ""
	case n > maxSignals:
		return fmt.Sprintf("unusual: %s and %d more", strings.Join(names[:maxSignals], ", "), n-maxSignals)
	default:
		return "unusual: " + strings.Join(names, ", ")
	}
}

func count(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}

func seconds(d time.Duration) string { return units.Format(max(0, d).Seconds(), "s") }

// cut limits the length of a name.
func cut(s string) string { return units.Shorten(s, maxText) }
