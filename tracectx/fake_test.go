// SPDX-License-Identifier: Apache-2.0

package tracectx_test

import (
	"encoding/binary"
	"testing"
	"time"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/gmpulse/gmpulse/runtimeinfo"
	"github.com/gmpulse/gmpulse/tracectx"
)

// fakeSpan is a span whose properties the test sets. The embedded interface is nil, so
// any other method panics.
type fakeSpan struct {
	sdktrace.ReadWriteSpan
	id, parent trace.SpanContext
	name       string
	start      time.Time
	took       time.Duration
	kind       trace.SpanKind
	status     codes.Code
}

func (s *fakeSpan) SpanContext() trace.SpanContext { return s.id }
func (s *fakeSpan) Parent() trace.SpanContext      { return s.parent }
func (s *fakeSpan) Name() string                   { return s.name }
func (s *fakeSpan) SpanKind() trace.SpanKind       { return s.kind }
func (s *fakeSpan) Status() sdktrace.Status        { return sdktrace.Status{Code: s.status} }
func (s *fakeSpan) StartTime() time.Time           { return s.start }
func (s *fakeSpan) EndTime() time.Time             { return s.start.Add(s.took) }

// spanContext returns a span context with ids made from two numbers.
func spanContext(traceID, spanID uint64) trace.SpanContext {
	var t trace.TraceID
	var s trace.SpanID
	binary.BigEndian.PutUint64(t[8:], traceID)
	binary.BigEndian.PutUint64(s[:], spanID)
	return trace.NewSpanContext(trace.SpanContextConfig{TraceID: t, SpanID: s, TraceFlags: trace.FlagsSampled})
}

func root(traceID, spanID uint64, name string) *fakeSpan {
	return &fakeSpan{id: spanContext(traceID, spanID), name: name, start: time.Now()}
}

func newProcessor(tb testing.TB, config tracectx.Config) *tracectx.Processor {
	tb.Helper()
	p, err := tracectx.New(config)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

// counts are the counts of an observation.
type counts struct {
	active                                int
	started, ended, untracked, neverEnded uint64
}

// observe returns an observation and its counts. It checks that the values are
// consistent.
func observe(t testing.TB, p *tracectx.Processor) (counts, tracectx.Activity) {
	t.Helper()
	a := p.Observe(time.Now())
	c := counts{0, a.Started, a.Ended, a.Untracked, a.NeverEnded}
	var ended uint64
	for i, g := range a.Groups {
		c.active += g.Active
		ended += g.Ended
		ages := 0
		for _, n := range g.Ages {
			ages += n
		}
		if ages != g.Active || g.Oldest.IsZero() != (g.Active == 0) {
			t.Errorf("group %+v: ages of %d", g, ages)
		}
		if g.Active == 0 && g.Ended == 0 || i > 0 && a.Groups[i-1].Name >= g.Name {
			t.Errorf("group %d %+v is empty or out of order", i, g)
		}
	}
	if sum := a.Ended + a.Untracked + a.NeverEnded + uint64(c.active); a.Started != sum {
		t.Errorf("%d started, but %+v add up to %d", a.Started, c, sum)
	}
	// Names are read last, so their counts may include later ends.
	activeInner, endedInner := p.Inner()
	if ended < a.Ended || activeInner > c.active || endedInner > a.Ended {
		t.Errorf("%d ended, but %d of all names, or %d and %d inside others of %+v", a.Ended, ended, activeInner, endedInner, c)
	}
	if len(a.Active) != min(c.active, runtimeinfo.MaxSpans) {
		t.Errorf("%d spans listed of %d", len(a.Active), c.active)
	}
	for i := 1; i < len(a.Active); i++ {
		if a.Active[i].Start.Before(a.Active[i-1].Start) {
			t.Errorf("span %d is older than its predecessor", i)
		}
	}
	return c, a
}

// expect observes and checks the counts.
func expect(t testing.TB, p *tracectx.Processor, want counts) tracectx.Activity {
	t.Helper()
	got, a := observe(t, p)
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	return a
}

func (*fakeSpan) Resource() *resource.Resource { return nil }
