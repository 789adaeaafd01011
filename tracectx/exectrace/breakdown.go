// SPDX-License-Identifier: Apache-2.0

package exectrace

import (
	"fmt"
	"sort"
	"strings"
	"time"
)

// Breakdown tells where the time of one span went. The parts of Self add up to
// Duration exactly.
type Breakdown struct {
	// TraceID and SpanID are set for local root spans, and zero for others.
	TraceID [16]byte
	SpanID  [8]byte
	Name    string
	// Task and Parent are the ids of the runtime/trace tasks of the span and of its
	// parent.
	Task, Parent uint64
	// Root is set if the span has no parent in this process.
	Root bool
	// Start is the wall clock time of the begin, zero if the trace has no clock
	// (before Go 1.25).
	Start    time.Time
	Duration time.Duration
	// Open is set if the span had not ended at the end of the recording. Duration is
	// the time until then.
	Open bool

	// Self is what the span's goroutine did.
	Self Parts
	// Others is the sum of what other goroutines did for the span: those created under
	// it, also indirectly, and those on which spans below it began. It may exceed
	// Duration. Goroutines is the number of goroutines created under the span.
	Others     Parts
	Goroutines int

	// STW is the time for which the world was stopped, and Mark the time for which the
	// garbage collector was marking; both overlap with Self. MarkAssist is the part of
	// Self in which the span's goroutine assisted the collector.
	STW, Mark, MarkAssist time.Duration

	// Wakers are the places that ended the span's waits, the longest waits first, at
	// most 8.
	Wakers []Waker
}

// Waker is a place in the code that ended waits of a span.
type Waker struct {
	// Cause is the kind of the waits.
	Cause Cause
	// Site is where the waking goroutine was: "pkg.Func:12". It is empty for the
	// runtime, a timer or the network.
	Site string
	// Span is the name of the span that the waking goroutine worked for, if any.
	Span string
	// Waits is the number of waits, Time their total length.
	Waits int
	Time  time.Duration
}

// String returns the breakdown in one line, the longest part first: "GET /cart took
// 120ms: 100ms mutex, 15ms running, 5ms runnable; longest wait: ...".
func (b *Breakdown) String() string {
	type part struct {
		time  time.Duration
		cause Cause
	}
	var parts []part
	for c, d := range b.Self.All() {
		parts = append(parts, part{d, c})
	}
	sort.SliceStable(parts, func(i, j int) bool { return parts[i].time > parts[j].time })
	texts := make([]string, len(parts))
	for i, p := range parts {
		texts[i] = fmt.Sprintf("%v %v", p.time, p.cause)
	}
	s := fmt.Sprintf("%s took %v: %s", b.Name, b.Duration, strings.Join(texts, ", "))
	if len(b.Wakers) > 0 {
		s += "; longest wait: " + b.Wakers[0].String()
	}
	return s
}

// String returns the waker in one line: "mutex 12ms, waits: 3, ended by
// main.(*Cart).Add:88 for GET /cart".
func (w *Waker) String() string {
	by := w.Site
	if by == "" {
		by = "the runtime (a timer, the network)"
	}
	if w.Span != "" {
		by += " for " + w.Span
	}
	return fmt.Sprintf("%v %v, waits: %d, ended by %s", w.Cause, w.Time.Round(time.Microsecond), w.Waits, by)
}

const maxWakers = 8

// addWaker adds a wait. If there are too many wakers, it replaces the one with the
// shortest time, if that is shorter.
func (b *Breakdown) addWaker(c Cause, site, span string, waited time.Duration) {
	shortest := -1
	for i := range b.Wakers {
		w := &b.Wakers[i]
		if w.Cause == c && w.Site == site && w.Span == span {
			w.Waits++
			w.Time += waited
			return
		}
		if shortest < 0 || w.Time < b.Wakers[shortest].Time {
			shortest = i
		}
	}
	w := Waker{Cause: c, Site: site, Span: span, Waits: 1, Time: waited}
	switch {
	case len(b.Wakers) < maxWakers:
		b.Wakers = append(b.Wakers, w)
	case b.Wakers[shortest].Time < waited:
		b.Wakers[shortest] = w
	}
}
