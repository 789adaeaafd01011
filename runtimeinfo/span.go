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

// SpanActivity is what a span source saw up to one moment.
type SpanActivity struct {
	// Active are the oldest active local root spans, oldest first, at most [MaxSpans].
	Active []Span
	// Groups has one entry per root-span name. Bounded by the source.
	Groups []SpanGroup
	// Cumulative counts of local root spans: started and ended ones, ones that
	// found no room in the source's table, and ones given up as never ended.
	Started, Ended, Untracked, NeverEnded uint64
	// ActiveInner and EndedInner count those of the active and of the ended ones that
	// began inside another root, because the context was lost on the way: a query of a
	// request, no request of its own.
	ActiveInner int
	EndedInner  uint64
	// Exact is what execution traces tell, nil where nobody records any.
	Exact *ExactSpans
	// Events since the last observation.
	Events []Event
}

// ExactSpans is what execution traces told so far. All of it is cumulative.
type ExactSpans struct {
	// Times is where the time of local root spans went that were recorded whole.
	// Bounded by the recorder.
	Times []ExactTime
	// Recordings by how they ended: read; not made because somebody else held the
	// recorder, or not made or read because there was too much; not readable. StepsBack
	// is how often recording was stopped because it cost too much.
	Read, Busy, TooMany, Unreadable, StepsBack uint64
	// Explained slow spans were found in a recording, Missed ones were not.
	Explained, Missed uint64
}

// ExactTime is the time of the root spans of one name that was spent in one state:
// running, runnable, syscall or blocked.
type ExactTime struct {
	Root, State string
	Time        time.Duration
}
