// SPDX-License-Identifier: Apache-2.0

package exectrace

import (
	"strconv"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

func ended(name string, d time.Duration) sdktrace.ReadOnlySpan {
	start := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
	return tracetest.SpanStub{Name: name, StartTime: start, EndTime: start.Add(d)}.Snapshot()
}

func child(name string, d time.Duration) sdktrace.ReadOnlySpan {
	s := tracetest.SpanStubFromReadOnlySpan(ended(name, d))
	s.Parent = trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{1}})
	return s.Snapshot()
}

func TestThresholdIsTheLearned99thPercentile(t *testing.T) {
	s := newSlowSpans(Config{SlowEvery: 30 * time.Second})
	now := time.Now()
	batch := func(spans ...sdktrace.ReadOnlySpan) sdktrace.ReadOnlySpan { return s.pick(now, spans, all) }
	if batch(ended("GET /", time.Hour)) != nil {
		t.Error("slow before the threshold is known")
	}
	for i := range 1000 {
		if got := batch(ended("GET /", time.Duration(10+i%10)*time.Millisecond), ended("GET /report", time.Second)); got != nil {
			t.Fatalf("span %d: %v is slow", i, duration(got))
		}
	}
	if batch(ended("GET /", 19*time.Millisecond)) != nil || batch(child("GET /", time.Hour)) != nil || batch(ended("GET /report", time.Second)) != nil {
		t.Error("slow: a duration below the threshold, a child, or a span of another name")
	}
	slow := batch(ended("GET /", 30*time.Millisecond), ended("GET /", 50*time.Millisecond), ended("GET /", 40*time.Millisecond))
	if slow == nil || duration(slow) != 50*time.Millisecond {
		t.Fatalf("of three slow spans: %v", slow)
	}
	now = now.Add(30*time.Second - 1)
	if batch(ended("GET /", time.Second)) != nil {
		t.Error("a second slow span within 30 s")
	}
	now = now.Add(1)
	if batch(ended("GET /", time.Second)) == nil {
		t.Error("no slow span after 30 s")
	}
	// The threshold follows.
	now = now.Add(time.Hour)
	for range 10_000 {
		s.isSlow("GET /", 100*time.Millisecond)
	}
	if batch(ended("GET /", 100*time.Millisecond)) != nil {
		t.Error("slow in spite of the new threshold")
	}
}

func TestSlowNamesAreBounded(t *testing.T) {
	s := newSlowSpans(Config{})
	for i := range 1000 {
		s.isSlow(strconv.Itoa(i), time.Second)
	}
	if len(s.names) > maxNames {
		t.Errorf("%d names", len(s.names))
	}
}

func TestSlowerThanReplacesTheLearnedThreshold(t *testing.T) {
	s := newSlowSpans(Config{SlowerThan: time.Second})
	if s.pick(time.Now(), []sdktrace.ReadOnlySpan{ended("a", time.Second)}, all) != nil {
		t.Error("exactly the threshold is slow")
	}
	if s.pick(time.Now(), []sdktrace.ReadOnlySpan{ended("a", time.Second+1)}, all) == nil {
		t.Error("above the threshold is not slow")
	}
}

func all(sdktrace.ReadOnlySpan) bool { return true }

// A slow span that was not recorded, as most with DutyCycle, does not count for SlowEvery.
func TestUnrecordedSpansAreNotPicked(t *testing.T) {
	s := newSlowSpans(Config{SlowerThan: time.Second, SlowEvery: 30 * time.Second})
	short := func(span sdktrace.ReadOnlySpan) bool { return duration(span) < time.Minute }
	now := time.Now()
	if got := s.pick(now, []sdktrace.ReadOnlySpan{ended("a", time.Hour)}, short); got != nil {
		t.Errorf("%v was picked but not recorded", duration(got))
	}
	if got := s.pick(now, []sdktrace.ReadOnlySpan{ended("a", time.Hour), ended("a", 2*time.Second)}, short); got == nil || duration(got) != 2*time.Second {
		t.Error("the recorded span was not picked")
	}
}
