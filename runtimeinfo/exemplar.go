// SPDX-License-Identifier: Apache-2.0

package runtimeinfo

import "time"

// Exemplar is one observation of a counter or a histogram together with a trace to
// look into. The observation is the process's, not the span's: the span was
// active when it was made, no more, which is why exporters mark exemplars with
// [ExemplarRelation]. An Exemplar is immutable.
type Exemplar struct {
	TraceID [16]byte
	SpanID  [8]byte
	// Value is what a counter gained in the tick, or an observation that lies
	// within the bucket of a histogram that grew.
	Value float64
	// Time is the tick's.
	Time time.Time
}

// Exporters add this label to the ids of an exemplar.
const (
	ExemplarRelationKey = "relation"
	ExemplarRelation    = "concurrent" // the span was active at the time
)
