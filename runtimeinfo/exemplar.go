// SPDX-License-Identifier: Apache-2.0

package runtimeinfo

import "time"

// Exemplar is an observation of a counter or histogram with a span that was active at that time. The
// observation refers to the whole process: the span did not necessarily cause it. Exporters therefore
// add the label [ExemplarRelation]. An Exemplar is immutable.
type Exemplar struct {
	TraceID [16]byte
	SpanID  [8]byte
	// Value is the increase of a counter since the previous tick, or a value within a bucket of
	// a histogram that grew.
	Value float64
	// Time is the time of the tick.
	Time time.Time
}

// The label that exporters add to the ids of an exemplar.
const (
	ExemplarRelationKey = "relation"
	ExemplarRelation    = "concurrent" // the span was active at the time
)
