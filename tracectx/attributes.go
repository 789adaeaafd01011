// SPDX-License-Identifier: Apache-2.0

package tracectx

import (
	"slices"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// WithAttributes returns a copy of an ended span with additional attributes. It is
// for exporters and processors that wrap others, because SetAttributes has no effect
// on an ended span. As in SetAttributes, a value replaces an earlier one of the same
// key, and WithAttributes drops attributes without a key and those that exceed the
// attribute limit; both count in DroppedAttributes. Values are not truncated.
//
// WithAttributes changes neither span nor its attribute slice, which all exporters
// share, and does not keep attrs. It takes two allocations.
//
// A span does not expose its attribute limit. WithAttributes uses the limit from the
// environment (OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT, default 128). If the span has dropped
// attributes already, its present number of attributes is the limit.
func WithAttributes(span sdktrace.ReadOnlySpan, attrs ...attribute.KeyValue) sdktrace.ReadOnlySpan {
	return withAttributes(span, attributeLimit(), attrs)
}

// attributeLimit returns the SDK's default limit of attributes per span. A negative
// value means no limit.
func attributeLimit() int { return sdktrace.NewSpanLimits().AttributeCountLimit }

func withAttributes(span sdktrace.ReadOnlySpan, limit int, attrs []attribute.KeyValue) sdktrace.ReadOnlySpan {
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
