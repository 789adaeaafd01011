// SPDX-License-Identifier: Apache-2.0

package exectrace

import (
	"cmp"
	"encoding/hex"
	"slices"
	"time"
)

// Breakdown says where the time of one span went, exactly: its Self adds up to
// its Duration to the nanosecond.
type Breakdown struct {
	// TraceID and SpanID are known of local root spans, zero for others.
	TraceID [16]byte
	SpanID  [8]byte
	Name    string
	// Task is the runtime/trace task of the span, Parent that of its parent span.
	Task, Parent uint64
	// Root tells a span without a parent in this process.
	Root bool
	// Goroutine is the one that it began on.
	Goroutine uint64
	// Start is the wall-clock time of the begin, zero where the trace does not
	// tell (before Go 1.25).
	Start    time.Time
	Duration time.Duration
	// Open tells a span that had not ended when the recording did: its Duration is
	// that up to there.
	Open bool

	// Self is what its goroutine did meanwhile.
	Self Parts
	// Others is what the goroutines did that were created under it, by anyone of
	// them too, and the spans below it on other goroutines, all added up: it may
	// exceed Duration. Goroutines is how many there were.
	Others     Parts
	Goroutines int

	// STW is how long the world stood still meanwhile, Mark for how long the
	// collector marked; both overlap with Self. MarkAssist is the part of Self in
	// which its goroutine did the collector's work.
	STW, Mark, MarkAssist time.Duration

	// Wakers are who ended its waits and where, the longest waits first, at most 8.
	Wakers []Waker
}

// Waker is a place that ended waits of a span.
type Waker struct {
	// Cause is what was waited for.
	Cause Cause
	// Site is where the waker was: "pkg.Func:12"; empty for the runtime itself, a
	// timer or the network.
	Site string
	// Span is the name of the span that the waker worked for, if it did for one.
	Span string
	// Waits were ended, of this length in all.
	Waits int
	Time  time.Duration
}

// TraceIDString returns the trace id as hex digits, empty if unknown.
func (b *Breakdown) TraceIDString() string {
	if b.TraceID == [16]byte{} {
		return ""
	}
	return hex.EncodeToString(b.TraceID[:])
}

const maxWakers = 8

// wake adds a wait that somebody ended.
func (b *Breakdown) wake(c Cause, site, span string, waited time.Duration) {
	least := -1
	for i := range b.Wakers {
		w := &b.Wakers[i]
		if w.Cause == c && w.Site == site && w.Span == span {
			w.Waits++
			w.Time += waited
			return
		}
		if least < 0 || w.Time < b.Wakers[least].Time {
			least = i
		}
	}
	w := Waker{Cause: c, Site: site, Span: span, Waits: 1, Time: waited}
	switch {
	case len(b.Wakers) < maxWakers:
		b.Wakers = append(b.Wakers, w)
	case b.Wakers[least].Time < waited: // the longest matter
		b.Wakers[least] = w
	}
}

func sortWakers(w []Waker) {
	slices.SortFunc(w, func(x, y Waker) int { return cmp.Compare(y.Time, x.Time) })
}
