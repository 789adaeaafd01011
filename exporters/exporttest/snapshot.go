// SPDX-License-Identifier: Apache-2.0

package exporttest

import (
	"log/slog"
	"math"
	"slices"
	"time"

	"github.com/gmpulse/gmpulse/internal/catalogue"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// Snapshot returns a fixed snapshot with gauges, counters, a ratio, two metrics of one
// name, series with labels, a histogram, an absent value, a resource and two active
// spans, but no event. Its time is 2 January 2026, 03:04:05.678 UTC, an hour after the
// start of the process.
//
// The metrics belong to the catalogue. Each call returns a new snapshot. Snapshot
// panics if the catalogue no longer has one of the metrics.
func Snapshot() *runtimeinfo.Snapshot {
	s := runtimeinfo.NewSnapshot(points()...)
	s.Seq = 3600
	s.Time = instant()
	s.Start = instant().Add(-time.Hour)
	s.Resource = []runtimeinfo.Attr{
		{Key: "service.name", Value: "checkout"},
		{Key: "service.version", Value: "1.4.2"},
		{Key: "service.instance.id", Value: "checkout-7d9f8b6c5-x2x9k"},
	}
	s.Spans = spans()
	return s
}

// Summary returns a fixed summary of ten ticks, whose last one is [Snapshot]. The metrics with
// [runtimeinfo.Metric.Ranged] have a range in it.
func Summary() *runtimeinfo.Snapshot {
	last := Snapshot()
	points := slices.Collect(last.Points())
	for i := range points {
		if p := &points[i]; p.Metric.Ranged {
			p.Range = &runtimeinfo.Range{Min: p.Number / 2, Mean: p.Number, Max: 4 * p.Number}
		}
	}
	s := runtimeinfo.NewSnapshot(points...)
	s.Seq, s.Time, s.Start = last.Seq, last.Time, last.Start
	s.Ticks, s.Since = 10, last.Time.Add(-10*time.Second)
	s.Resource, s.Spans = last.Resource, last.Spans
	return s
}

// Event returns a fixed event, 100 ms before [Snapshot]: a warning with attributes of
// several kinds and one of the snapshot's spans, which opens an incident.
func Event() runtimeinfo.Event {
	return runtimeinfo.Event{
		Time:     instant().Add(-100 * time.Millisecond),
		Name:     "goroutines.growth",
		Severity: slog.LevelWarn,
		Message:  "Goroutines grew from 42 to 1042 within 30 s, most of them blocked sending on a channel.",
		Attrs: []slog.Attr{
			slog.Int("from", 42),
			slog.Int("to", 1042),
			slog.Duration("within", 30*time.Second),
			slog.Float64("confidence", 0.99),
			slog.Bool("proven", false),
			slog.GroupAttrs("site", slog.String("function", "main.(*pool).submit"), slog.Int("line", 87)),
		},
		Spans: spans()[:1],
		Incident: &runtimeinfo.Incident{
			ID: "goroutines-1", Phase: runtimeinfo.IncidentOpened, Since: instant().Add(-100 * time.Millisecond),
			Kind: "leak", Site: "main.(*pool).submit (pool.go:87)", Root: "POST /checkout", Size: 1042, Unit: "{goroutine}",
			Evidence: "none of the 1000 that existed at 03:02:05 had ended by 03:04:05", Hint: "nothing receives from the channel",
		},
	}
}

func instant() time.Time { return time.Date(2026, time.January, 2, 3, 4, 5, 678e6, time.UTC) }

func spans() []runtimeinfo.Span {
	return []runtimeinfo.Span{
		{
			TraceID: [16]byte{0x4b, 0xf9, 0x2f, 0x35, 0x77, 0xb3, 0x4d, 0xa6, 0xa3, 0xce, 0x92, 0x9d, 0x0e, 0x0e, 0x47, 0x36},
			SpanID:  [8]byte{0x00, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7},
			Name:    "POST /checkout",
			Start:   instant().Add(-2500 * time.Millisecond),
		},
		{
			TraceID: [16]byte{0x0a, 0xf7, 0x65, 0x19, 0x16, 0xcd, 0x43, 0xdd, 0x84, 0x48, 0xeb, 0x21, 0x1c, 0x80, 0x31, 0x9c},
			SpanID:  [8]byte{0xb7, 0xad, 0x6b, 0x71, 0x69, 0x20, 0x33, 0x31},
			Name:    "GET /orders/{id}",
			Start:   instant().Add(-125 * time.Millisecond),
		},
	}
}

// byKey returns a function that looks up a metric of the catalogue by its key. The
// function panics if there is none.
func byKey() func(key string) *runtimeinfo.Metric {
	metrics := map[string]*runtimeinfo.Metric{}
	for _, m := range catalogue.All() {
		own := *m // a test may change it
		metrics[m.Key()] = &own
	}
	return func(key string) *runtimeinfo.Metric {
		m := metrics[key]
		if m == nil {
			panic("exporttest: the catalogue has no metric " + key)
		}
		return m
	}
}

// points returns points in the order of the catalogue, as in a live snapshot. All
// fractions are exact in binary, so that every exporter prints them alike.
func points() []runtimeinfo.Point {
	of := byKey()
	var (
		active  = of("gmpulse.root_span.active")
		dropped = of("gmpulse.exporter.dropped")
	)
	return []runtimeinfo.Point{
		{Metric: of("go.goroutine.count"), Number: 47},
		{Metric: of("gmpulse.goroutine.user"), Number: 42},
		{Metric: of("gmpulse.scheduler.goroutines.runnable"), Number: 3},
		{Metric: of("gmpulse.scheduler.goroutines.waiting"), Number: 36},
		{Metric: of("gmpulse.runnable.per_processor"), Number: 0.75},
		{Metric: of("go.processor.limit"), Number: 4},
		{Metric: of("go.schedule.duration"), Histogram: latencies()},
		{Metric: of("gmpulse.schedule.duration.p99"), Number: 0.001953125},
		{Metric: of("go.memory.limit"), Number: math.NaN()},
		{Metric: of("gmpulse.memory.heap_alloc"), Number: 123456789},
		{Metric: of("go.memory.gc.cycles"), Number: 7},
		{Metric: of("gmpulse.gc.pause.max"), Number: 0.000244140625},
		{Metric: of("gmpulse.gc.cpu"), Number: 0.015625},
		{Metric: of("process.cpu.time.user"), Number: 12.5},
		{Metric: of("process.cpu.time.system"), Number: 3.25},
		{Metric: of("process.memory.usage"), Number: 268435456},
		{Metric: active, Labels: []string{"GET /orders/{id}"}, Number: 1},
		{Metric: active, Labels: []string{"POST /checkout"}, Number: 1},
		{Metric: of("gmpulse.root_spans.started"), Number: 98765},
		{Metric: dropped, Labels: []string{"fluentd", "event", "rejected"}, Number: 0},
		{Metric: dropped, Labels: []string{"fluentd", "snapshot", "replaced"}, Number: 2},
		{Metric: of("gmpulse.exporter.up"), Labels: []string{"fluentd"}, Number: 1},
	}
}

func latencies() *runtimeinfo.Histogram {
	return &runtimeinfo.Histogram{
		Bounds: []float64{1e-6, 1e-4, 0.01, 1},
		Counts: []uint64{900, 80, 15, 4, 1},
		Sum:    3.5,
	}
}
