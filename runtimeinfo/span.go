// SPDX-License-Identifier: Apache-2.0

package runtimeinfo

import (
	"encoding/hex"
	"time"
)

// MaxSpans is the most active spans that a [Snapshot] names.
const MaxSpans = 32

// Span is one active local root span: a request in flight. It holds plain
// bytes, so that this package needs no tracing library. Names and ids only: a
// span's attributes may hold secrets and stay out of telemetry about the runtime.
type Span struct {
	TraceID [16]byte
	SpanID  [8]byte
	Name    string
	Start   time.Time
	// Sampled tells that the trace is meant to be kept: a backend can find it.
	Sampled bool
}

// TraceIDString returns the trace id as 32 lower-case hex digits.
func (s *Span) TraceIDString() string { return hex.EncodeToString(s.TraceID[:]) }

// SpanIDString returns the span id as 16 lower-case hex digits.
func (s *Span) SpanIDString() string { return hex.EncodeToString(s.SpanID[:]) }

// SpanAges is how many buckets of age a [SpanGroup] has: up to about nine hours.
const SpanAges = 16

// SpanGroup sums up the local root spans of one name.
type SpanGroup struct {
	Name   string
	Active int
	Oldest time.Time // start of the oldest active one; zero when none is active
	// Ages counts the active ones by age: index 0 those below a second, index i
	// those from 2^(i-1) to 2^i seconds; the last one has no upper bound.
	Ages [SpanAges]int
	// Ended counts those that ended under this name, cumulative. A name that a source
	// has no more room for is absent; if it comes back, Ended begins at zero.
	Ended uint64
	// P50 and P99 are quantiles of the durations of those that ended in the last
	// few minutes, to a quarter; zero when none did.
	P50, P99 time.Duration
	// TickP50 and TickP99 are those of the ones that ended since the last tick.
	TickP50, TickP99 time.Duration
}

// Origin is the time in which the local root spans of one name began whose
// labels a goroutine inherited, and some of those spans.
type Origin struct {
	From, To time.Time
	// Names are those of the spans: labels are short, so that long names which begin
	// alike share one. Empty: the label is the name.
	Names    []string
	Examples []Span
	// Ended counts the spans by the name that they ended with, the largest count
	// first: many begin as "GET" and get the name of their route later. Empty as long as
	// every span of the label kept its name. Bounded by the source; what is beyond it
	// counts as "other".
	Ended []NameCount
}

// NameCount is how many spans have a name.
type NameCount struct {
	Name  string
	Count uint64
}
