// SPDX-License-Identifier: Apache-2.0

package tracectx

import (
	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// WithAttributes returns span with more attributes, for exporters and processors
// that wrap others: what an ended span lacks cannot be set on it any more. It
// does as SetAttributes would have done: a key that is there already gets the new
// value, an attribute without a key is dropped, and so is what exceeds the
// limit; both count in DroppedAttributes. Values are taken as they are.
//
// span itself and its attribute slice, which all exporters share, stay as they
// are. It costs two allocations; attrs may be reused afterwards.
//
// A span does not tell its limit. What the environment says
// (OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT, default 128) is taken for it, and a span
// that has dropped attributes is taken to be full, which is how a lower limit
// that the program has set in code shows.
func WithAttributes(span sdktrace.ReadOnlySpan, attrs ...attribute.KeyValue) sdktrace.ReadOnlySpan {
	return withAttributes(span, attributeLimit(), attrs)
}

// attributeLimit is the most attributes that a span may have by default; negative
// is no limit.
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
	for i := range attrs {
		s.set(attrs[i], limit)
	}
	return s
}

// attributed is a span with other attributes than it ended with.
type attributed struct {
	sdktrace.ReadOnlySpan
	attributes []attribute.KeyValue
	dropped    int
}

var _ sdktrace.ReadOnlySpan = (*attributed)(nil)

func (s *attributed) Attributes() []attribute.KeyValue { return s.attributes }

func (s *attributed) DroppedAttributes() int { return s.dropped }

func (s *attributed) set(a attribute.KeyValue, limit int) {
	if !a.Valid() {
		s.dropped++
		return
	}
	for i := range s.attributes {
		if s.attributes[i].Key == a.Key {
			s.attributes[i].Value = a.Value
			return
		}
	}
	if limit >= 0 && len(s.attributes) >= limit {
		s.dropped++
		return
	}
	s.attributes = append(s.attributes, a)
}
