// SPDX-License-Identifier: Apache-2.0

package runtimeinfo

import (
	"log/slog"
	"time"
)

// Event is something that happened at one time and that an operator should know, such as a goroutine
// leak or a span that never ended. Events are delivered separately from the values of a snapshot, and
// each event that is dropped is counted.
type Event struct {
	Time time.Time
	// Name identifies the kind of event, such as "span.never_ended". It has low cardinality.
	Name     string
	Severity slog.Level
	// Message describes the event in one sentence.
	Message string
	// Attrs are the details.
	Attrs []slog.Attr
	// Spans are the spans that the event refers to, if any.
	Spans []Span
	// Incident is the incident that the event belongs to, nil if to none. It must not be changed.
	Incident *Incident
}
