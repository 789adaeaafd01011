// SPDX-License-Identifier: Apache-2.0

package sentence_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/exporters/exporttest"
	"github.com/gmpulse/gmpulse/internal/catalogue"
	"github.com/gmpulse/gmpulse/internal/sentence"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

func metric(t *testing.T, key string) *runtimeinfo.Metric {
	t.Helper()
	all := catalogue.All()
	i := slices.IndexFunc(all, func(m *runtimeinfo.Metric) bool { return m.Key() == key })
	if i < 0 {
		t.Fatalf("the catalogue has no metric %s", key)
	}
	return all[i]
}

// busy returns a snapshot with everything that the sentence may state.
func busy(t *testing.T) *runtimeinfo.Snapshot {
	t.Helper()
	s := runtimeinfo.NewSnapshot(
		runtimeinfo.Point{Metric: metric(t, "gmpulse.goroutine.user"), Number: 812},
		runtimeinfo.Point{Metric: metric(t, "gmpulse.cpu.usable"), Number: 2},
		runtimeinfo.Point{Metric: metric(t, "gmpulse.memory.heap_alloc"), Number: 41_234_567},
		runtimeinfo.Point{Metric: metric(t, "gmpulse.cpu.used"), Number: 0.3125},
	)
	s.Time = time.Date(2026, time.January, 2, 3, 4, 5, 0, time.UTC)
	s.Resource = []runtimeinfo.Attr{{Key: "service.name", Value: "checkout"}}
	s.Spans = []runtimeinfo.Span{{Name: "GET /orders", Start: s.Time.Add(-3123 * time.Millisecond)}, {Name: "GET /", Start: s.Time.Add(-time.Second)}}
	s.SpanGroups = []runtimeinfo.SpanGroup{{Name: "GET /orders", Active: 5}, {Name: "GET /", Active: 7}}
	s.Incidents = []*runtimeinfo.Incident{
		{Kind: "stuck", Site: "main.wait (main.go:7)"},
		{Kind: "leak", Site: "main.handle (main.go:42)", Root: "GET /orders"},
		{Kind: "anomaly", Signal: "gc.cpu"},
	}
	s.Bands = []runtimeinfo.Band{
		{Signal: "goroutines", Unit: "{goroutine}", Value: 812, Expected: 40, Lower: 30, Upper: 52},
		{Signal: "gc.cpu", Unit: "1", Value: 0.5, Expected: 0.5, Lower: 0.5, Upper: 0.5, Learning: true},
		{Signal: "root_span.p99 GET /orders", Unit: "s", Value: 0.447, Expected: 0.02, Lower: 0.01, Upper: 0.03, Since: s.Time.Add(-time.Minute)},
	}
	return s
}

func TestOf(t *testing.T) {
	want := "checkout: 812 goroutines (usual 40), CPU 0.31 of 2, heap 41.2 MB, 12 spans active, oldest 3.12s (GET /orders)" +
		"; 3 incidents open: stuck at main.wait (main.go:7), leak at main.handle (main.go:42) under GET /orders and 1 more" +
		"; unusual: root_span.p99 GET /orders 447ms"
	if got := sentence.Of(busy(t)); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

// A number that looks usual, spans that do not exist and metrics that are absent are not mentioned.
func TestOfLittle(t *testing.T) {
	s := busy(t)
	s.Incidents = s.Incidents[2:]
	s.Bands, s.SpanGroups, s.Spans = s.Bands[1:2], []runtimeinfo.SpanGroup{{Name: "GET /", Active: 1}}, nil
	if got := sentence.Of(s); !strings.HasPrefix(got, "checkout: 812 goroutines, CPU") || !strings.Contains(got, ", 1 span active; 1 incident open: anomaly of gc.cpu") || strings.Contains(got, "unusual") {
		t.Errorf("got %s", got)
	}
	s.SpanGroups = nil
	if got := sentence.Of(s); strings.Contains(got, "span") {
		t.Errorf("without a source of spans: %s", got)
	}
	if got := sentence.Of(runtimeinfo.NewSnapshot()); got != "" {
		t.Errorf("an empty snapshot: %q", got)
	}
}

func TestOfManySignals(t *testing.T) {
	s := runtimeinfo.NewSnapshot()
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		s.Bands = append(s.Bands, runtimeinfo.Band{Signal: name, Value: 2, Upper: 1})
	}
	if got, want := sentence.Of(s), "unusual: a 2, b 2, c 2 and 2 more"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// While an anomaly is open its value may have returned.
func TestOfValueThatHasReturned(t *testing.T) {
	s := busy(t)
	s.Bands[0].Value, s.Bands[0].Since = 41, s.Time.Add(-time.Minute)
	s.Bands[2].Value = 0.02
	if got := sentence.Of(s); strings.Contains(got, "usual") {
		t.Error(got)
	}
}

// The length does not depend on the names in the application.
func TestOfIsShort(t *testing.T) {
	s := busy(t)
	s.Resource[0].Value = strings.Repeat("ä", 100<<10)
	s.Spans[0].Name = strings.Repeat("x", 100<<10)
	*s.Incidents[0] = runtimeinfo.Incident{Kind: s.Spans[0].Name, Site: s.Spans[0].Name, Root: strings.Repeat("z", 10000)}
	s.Bands[2].Signal = strings.Repeat("y", 100<<10)
	if got := sentence.Of(s); len(got) > 1000 {
		t.Errorf("%d bytes", len(got))
	}
	if got := sentence.Of(exporttest.Snapshot()); len(got) > 150 {
		t.Errorf("%d bytes for an ordinary snapshot: %s", len(got), got)
	}
}
