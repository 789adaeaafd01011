// SPDX-License-Identifier: Apache-2.0

// Package otelspan has what several packages do with spans of the OpenTelemetry SDK.
package otelspan

import (
	"slices"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// HasLocalParent reports whether a span's parent belongs to this process. The argument
// is the span's own parent, which differs from the span in its context if the span
// was started with trace.WithNewRoot. The order of the checks is the fastest for roots.
func HasLocalParent(parent trace.SpanContext) bool {
	return parent.HasSpanID() && !parent.IsRemote() && parent.HasTraceID()
}

// WithAttributes returns a copy of an ended span with additional attributes.
// SetAttributes has no effect on an ended span. As in SetAttributes, a value replaces an
// earlier one of the same key, and WithAttributes drops attributes without a key and
// those that exceed limit; both count in DroppedAttributes. Values are not truncated.
//
// WithAttributes changes neither span nor its attribute slice, which all exporters
// share, and does not keep attrs. It takes two allocations.
//
// A span does not expose its attribute limit. limit is what [AttributeLimit] returns. If
// the span has dropped attributes already, its present number of attributes is the limit.
func WithAttributes(span sdktrace.ReadOnlySpan, limit int, attrs ...attribute.KeyValue) sdktrace.ReadOnlySpan {
	if len(attrs) == 0 {
		return span
	}
	have, dropped := span.Attributes(), span.DroppedAttributes()
	if dropped > 0 {
		limit = len(have)
	}
	s := &attributed{
		ReadOnlySpan: span,
		attributes:   append(make([]attribute.KeyValue, 0, len(have)+len(attrs)), have...),
		dropped:      dropped,
	}
	for _, a := range attrs {
		s.set(a, limit)
	}
	return s
}

// AttributeLimit returns the SDK's default limit of attributes per span, which is 128 or
// OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT. A negative value means no limit.
func AttributeLimit() int { return sdktrace.NewSpanLimits().AttributeCountLimit }

// attributed is a span with other attributes than it ended with.
type attributed struct {
	sdktrace.ReadOnlySpan
	attributes []attribute.KeyValue
	dropped    int
}

func (s *attributed) Attributes() []attribute.KeyValue { return s.attributes }

func (s *attributed) DroppedAttributes() int { return s.dropped }

func (s *attributed) set(a attribute.KeyValue, limit int) {
	i := slices.IndexFunc(s.attributes, func(b attribute.KeyValue) bool { return b.Key == a.Key })
	switch {
	case !a.Valid(), i < 0 && limit >= 0 && len(s.attributes) >= limit:
		s.dropped++
	case i >= 0:
		s.attributes[i].Value = a.Value
	default:
		s.attributes = append(s.attributes, a)
	}
}
