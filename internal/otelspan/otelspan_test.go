// SPDX-License-Identifier: Apache-2.0

package otelspan_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/gmpulse/gmpulse/internal/otelspan"
	"github.com/gmpulse/gmpulse/internal/testutil"
)

// endedSpan returns the snapshot of a span that ended with the given attributes.
func endedSpan(tb testing.TB, limits sdktrace.SpanLimits, attrs ...attribute.KeyValue) sdktrace.ReadOnlySpan {
	tb.Helper()
	var ended tracetest.SpanRecorder
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(&ended), sdktrace.WithRawSpanLimits(limits)).Tracer("")
	_, span := tracer.Start(context.Background(), "a", trace.WithAttributes(attrs...))
	span.End()
	return ended.Ended()[0]
}

func numbered(n int) (attrs []attribute.KeyValue) {
	for i := range n {
		attrs = append(attrs, attribute.Int(fmt.Sprint("key", i), i))
	}
	return attrs
}

// TestWithAttributesEqualsSetAttributes compares with a span whose attributes were set
// while it was live.
func TestWithAttributesEqualsSetAttributes(t *testing.T) {
	for name, test := range map[string]struct {
		env         string
		limit       int // of the provider
		have, extra []attribute.KeyValue
	}{
		"room":             {"", 128, numbered(3), []attribute.KeyValue{attribute.Int("a", 1), attribute.String("b", "x")}},
		"none":             {"", 128, nil, []attribute.KeyValue{attribute.Int("a", 1)}},
		"same key":         {"", 128, numbered(3), []attribute.KeyValue{attribute.String("key1", "new"), attribute.Int("a", 1)}},
		"twice":            {"", 128, numbered(1), []attribute.KeyValue{attribute.Int("a", 1), attribute.Int("a", 2)}},
		"no key":           {"", 128, numbered(1), []attribute.KeyValue{attribute.Int("", 1), attribute.Int("a", 2)}},
		"up to the limit":  {"", 128, numbered(126), []attribute.KeyValue{attribute.Int("a", 1), attribute.Int("b", 2)}},
		"beyond the limit": {"", 128, numbered(127), []attribute.KeyValue{attribute.Int("a", 1), attribute.Int("b", 2), attribute.Int("key0", 2)}},
		"over by itself":   {"", 128, numbered(140), []attribute.KeyValue{attribute.Int("a", 1)}},
		"lower in code":    {"", 2, numbered(3), []attribute.KeyValue{attribute.Int("a", 1), attribute.Int("key0", 2)}},
		"by environment":   {"4", 4, numbered(3), []attribute.KeyValue{attribute.Int("a", 1), attribute.Int("b", 1)}},
		"unlimited":        {"-1", -1, numbered(300), []attribute.KeyValue{attribute.Int("a", 1)}},
		"none allowed":     {"0", 0, nil, []attribute.KeyValue{attribute.Int("a", 1)}},
	} {
		t.Run(name, func(t *testing.T) {
			if test.env != "" {
				t.Setenv("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", test.env)
			}
			limits := sdktrace.SpanLimits{AttributeCountLimit: test.limit, AttributeValueLengthLimit: -1}
			span := endedSpan(t, limits, test.have...)
			want := endedSpan(t, limits, slices.Concat(test.have, test.extra)...)

			before := slices.Clone(span.Attributes())
			got := otelspan.WithAttributes(span, otelspan.AttributeLimit(), test.extra...)
			if !slices.Equal(got.Attributes(), want.Attributes()) {
				t.Errorf("got  %v\nwant %v", got.Attributes(), want.Attributes())
			}
			if got.DroppedAttributes() != want.DroppedAttributes() {
				t.Errorf("%d dropped, want %d", got.DroppedAttributes(), want.DroppedAttributes())
			}
			if !slices.Equal(span.Attributes(), before) {
				t.Error("the original span changed")
			}
			if got.Name() != "a" || !got.SpanContext().Equal(span.SpanContext()) {
				t.Error("the span context changed")
			}
		})
	}
}

// TestWithAttributesDoesNotChangeTheSharedSlice uses a slice with spare capacity, to
// which append would write.
func TestWithAttributesDoesNotChangeTheSharedSlice(t *testing.T) {
	backing := numbered(8)
	span := shared{attrs: backing[:2]}
	otelspan.WithAttributes(span, otelspan.AttributeLimit(), attribute.Int("key0", 70), attribute.Int("a", 71))
	if !slices.Equal(backing, numbered(8)) {
		t.Errorf("%v", backing)
	}
}

type shared struct {
	sdktrace.ReadOnlySpan
	attrs []attribute.KeyValue
}

func (s shared) Attributes() []attribute.KeyValue { return s.attrs }
func (shared) DroppedAttributes() int             { return 0 }

func TestWithAttributesOfAWrappedSpan(t *testing.T) {
	span := endedSpan(t, sdktrace.NewSpanLimits(), numbered(1)...)
	inner := otelspan.WithAttributes(span, otelspan.AttributeLimit(), attribute.Int("a", 1))
	outer := otelspan.WithAttributes(inner, otelspan.AttributeLimit(), attribute.Int("b", 2), attribute.Int("a", 3))
	want := []attribute.KeyValue{attribute.Int("key0", 0), attribute.Int("a", 3), attribute.Int("b", 2)}
	if got := outer.Attributes(); !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
	if got := inner.Attributes(); len(got) != 2 || got[1] != attribute.Int("a", 1) {
		t.Errorf("the inner span changed: %v", got)
	}
	if same := otelspan.WithAttributes(span, otelspan.AttributeLimit()); same != span {
		t.Error("wrapped without attributes")
	}
}

func TestWithAttributesAllocatesTwice(t *testing.T) {
	if testutil.RaceEnabled {
		t.Skip("the race detector allocates")
	}
	span := endedSpan(t, sdktrace.NewSpanLimits(), numbered(8)...)
	attrs := numbered(12)
	if n := testing.AllocsPerRun(100, func() { otelspan.WithAttributes(span, otelspan.AttributeLimit(), attrs...) }); n != 2 {
		t.Errorf("%v allocations", n)
	}
}
