// SPDX-License-Identifier: Apache-2.0

package runtimeinfo

import (
	"encoding/hex"
	"time"
)

// MaxSpans is the maximum number of spans in [Snapshot.Spans].
const MaxSpans = 32

// Span is a local root span, such as a request. It does not have the attributes of the span, which may
// contain secrets.
type Span struct {
	TraceID [16]byte
	SpanID  [8]byte
	Name    string
	Start   time.Time
	// Sampled reports whether the trace is sampled, so that a backend should have it.
	Sampled bool
}

// TraceIDString returns the trace id as 32 lower-case hex digits.
func (s *Span) TraceIDString() string { return hex.EncodeToString(s.TraceID[:]) }

// SpanIDString returns the span id as 16 lower-case hex digits.
func (s *Span) SpanIDString() string { return hex.EncodeToString(s.SpanID[:]) }

// SpanAges is the number of age buckets of a [SpanGroup], which reach up to about nine hours.
const SpanAges = 16

// SpanGroup summarizes the local root spans with one name.
type SpanGroup struct {
	Name   string
	Active int
	Oldest time.Time // start of the oldest active span; zero if none is active
	// Ages counts the active spans by age. Index 0 counts spans below 1 s, index i spans from
	// 2^(i-1) s to 2^i s. The last bucket has no upper bound.
	Ages [SpanAges]int
	// Ended is the number of spans that ended with this name. It starts at 0 again if the
	// source had to drop the name in between, because it has room for a limited number of names.
	Ended uint64
	// P50 and P99 are quantiles of the duration of spans that ended in the last few minutes, with
	// an error of at most a quarter. They are 0 if none ended.
	P50, P99 time.Duration
	// TickP50 and TickP99 are the same quantiles of spans that ended since the last tick.
	TickP50, TickP99 time.Duration
	// Errors is the number of the ended spans with the status Error.
	Errors uint64
	// Durations is the histogram of the durations of the ended spans in seconds, with four buckets
	// for each doubling. It is cumulative like Ended, but may be five seconds old. Its bounds cover only
	// the buckets in use.
	// It is nil if no span ended, and in snapshots that a spool has stored.
	Durations *Histogram
}

// Origin describes the local root spans under which goroutines were created, as far as their inherited
// profiler labels identify them: all spans of one label that started within a period.
type Origin struct {
	From, To time.Time
	// Names are the span names with this label. Labels are short, so that long names with the same
	// beginning share one. Empty means that the label is the name.
	Names    []string
	Examples []Span
	// Ended has the number of spans by their name at the end, highest number first. Many spans
	// start as "GET" and are renamed to their route later. Empty means that no span was renamed.
	// The source limits the number of names and counts the others as "other".
	Ended []NameCount
}

// NameCount is the number of spans with a name.
type NameCount struct {
	Name  string
	Count uint64
}
