// SPDX-License-Identifier: Apache-2.0

package exporttest

import (
	"errors"
	"log/slog"
	"math"
	"strings"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// unusual is a snapshot with values that a program can produce and that some encoders
// do not accept.
type unusual struct {
	name, what string
	snapshot   func() *runtimeinfo.Snapshot
}

func unusualSnapshots() []unusual {
	return []unusual{
		{"quotes", `quotes, backslashes and braces`, text(`a "quoted" \name\ 'x', {y="z"}=100%`)},
		{"control", "line breaks, NUL and escape sequences", text("line\r\nline\ttab\x00nul\x1b[31m\u2028")},
		{"utf8", "text that is not UTF-8", text("bad \xff\xfe utf-8 \xc3")},
		{"unicode", "non-ASCII text", text("grüße 你好 \u202eright to left 🧵")},
		{"blank", "empty names", text("")},
		{"long", "100 KiB of text", text(strings.Repeat("0123456789abcdef", 100<<10/16))},
		{"attributes", "attribute values of every kind", withAttrs},
		{"numbers", "the largest and the smallest numbers", withNumbers},
		{"times", "spans and events without a time or from the future", withTimes},
		{"crowd", "the maximum number of spans, and 1000 events", withManyEvents},
	}
}

// text returns a snapshot with s wherever text of the application may appear.
func text(s string) func() *runtimeinfo.Snapshot {
	return func() *runtimeinfo.Snapshot {
		of := byKey()
		snapshot := runtimeinfo.NewSnapshot(
			runtimeinfo.Point{Metric: of("gmpulse.root_span.active"), Labels: []string{s}, Number: 1},
			runtimeinfo.Point{Metric: of("gmpulse.exporter.failures"), Labels: []string{s, s}, Number: 1},
		)
		snapshot.Time = instant()
		snapshot.Resource = []runtimeinfo.Attr{{Key: "service.name", Value: s}}
		snapshot.Spans = spans()
		snapshot.Spans[0].Name = s
		e := Event()
		e.Name, e.Message = s, s
		e.Spans[0].Name = s
		i := e.Incident
		i.ID, i.Kind, i.Site, i.Root, i.Unit, i.Evidence, i.Hint = s, s, s, s, s, s, s
		e.Attrs = []slog.Attr{slog.String("text", s), slog.String(s, "value"), slog.Any("error", errors.New(s))}
		return snapshot.WithEvents([]runtimeinfo.Event{e})
	}
}

func withAttrs() *runtimeinfo.Snapshot {
	e := Event()
	e.Attrs = []slog.Attr{
		slog.Float64("nan", math.NaN()), slog.Float64("inf", math.Inf(1)), slog.Float64("negative_inf", math.Inf(-1)),
		slog.Float64("huge", math.MaxFloat64), slog.Float64("tiny", math.SmallestNonzeroFloat64),
		slog.Int64("least", math.MinInt64), slog.Int64("most", math.MaxInt64), slog.Uint64("max_uint64", math.MaxUint64),
		slog.Any("nil", nil), slog.Any("nil_error", error(nil)), slog.Any("bytes", []byte{0, 0xff}),
		slog.Any("func", func() {}), slog.Any("chan", make(chan int)), slog.Any("map", map[any]any{1: 'x', "a": nil}),
		slog.Any("complex", complex(1, math.NaN())), slog.Any("floats", []float64{math.NaN()}),
		slog.Time("no_time", time.Time{}), slog.Time("time", instant()), slog.Duration("negative", -time.Second),
		slog.Any("valuer", panickingValuer{}), slog.Any("stringer", panickingStringer{}), slog.Any("nil_stringer", (*slog.LevelVar)(nil)),
		slog.GroupAttrs("group", slog.Any("valuer", panickingValuer{}), slog.GroupAttrs("empty"), slog.GroupAttrs("", slog.Bool("inline", true))),
		slog.Bool("twice", true), slog.String("twice", "yes"), slog.String("", "no key"),
		{},
	}
	return Snapshot().WithEvents([]runtimeinfo.Event{e})
}

// Package log/slog recovers a panic of LogValue, and package fmt one of String.
type (
	panickingValuer   struct{}
	panickingStringer struct{}
)

func (panickingValuer) LogValue() slog.Value { panic("LogValue panics") }

func (panickingStringer) String() string { panic("String panics") }

func withNumbers() *runtimeinfo.Snapshot {
	of := byKey()
	most := &runtimeinfo.Histogram{
		Bounds: []float64{1e-6, 1},
		Counts: []uint64{0, math.MaxUint64, 0},
		Sum:    math.MaxFloat64,
	}
	s := runtimeinfo.NewSnapshot(
		runtimeinfo.Point{Metric: of("go.goroutine.count"), Number: math.MaxUint64},
		runtimeinfo.Point{Metric: of("gmpulse.goroutine.user"), Number: math.Copysign(0, -1)},
		runtimeinfo.Point{Metric: of("gmpulse.runnable.per_processor"), Number: math.SmallestNonzeroFloat64},
		runtimeinfo.Point{Metric: of("go.schedule.duration"), Histogram: most},
		runtimeinfo.Point{Metric: of("gmpulse.schedule.duration.p99"), Number: -math.MaxFloat64},
		runtimeinfo.Point{Metric: of("go.memory.gc.cycles"), Number: math.MaxFloat64},
	)
	s.Seq = math.MaxUint64
	s.Time = instant()
	e := Event()
	e.Severity = math.MinInt
	e.Incident.Size = math.MaxFloat64
	return s.WithEvents([]runtimeinfo.Event{e})
}

func withTimes() *runtimeinfo.Snapshot {
	s := Snapshot()
	s.Start = time.Time{}
	s.Spans[0].Start = time.Time{}
	s.Spans[1].Start = instant().Add(time.Hour)
	e := Event()
	e.Time, e.Incident.Since = time.Time{}, time.Time{}
	return s.WithEvents([]runtimeinfo.Event{e})
}

func withManyEvents() *runtimeinfo.Snapshot {
	s := Snapshot()
	s.Spans = make([]runtimeinfo.Span, runtimeinfo.MaxSpans)
	events := make([]runtimeinfo.Event, 1000)
	for i := range events {
		events[i] = Event()
	}
	return s.WithEvents(events)
}
