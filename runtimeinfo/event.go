// SPDX-License-Identifier: Apache-2.0

package runtimeinfo

import (
	"log/slog"
	"time"
)

// Event is something that happened once and that people should hear of: a
// verdict, a span that never ended. Unlike metrics, events are never dropped in
// favour of newer ones without being counted.
type Event struct {
	Time time.Time
	// Name is dot-separated and low in cardinality: "span.never_ended".
	Name     string
	Severity slog.Level
	// Message says it in one sentence.
	Message string
	// Attrs are the details, as structured values.
	Attrs []slog.Attr
	// Spans are the spans concerned, if any.
	Spans []Span
}
