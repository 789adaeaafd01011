// SPDX-License-Identifier: Apache-2.0

package exporters_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/exporttest"
	"github.com/gmpulse/gmpulse/internal/catalogue"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

func TestLogConformance(t *testing.T) {
	handlers := map[string]func(io.Writer) slog.Handler{
		"json":    func(w io.Writer) slog.Handler { return slog.NewJSONHandler(w, nil) },
		"text":    func(w io.Writer) slog.Handler { return slog.NewTextHandler(w, nil) },
		"discard": func(io.Writer) slog.Handler { return slog.DiscardHandler },
	}
	for name, handler := range handlers {
		t.Run(name, func(t *testing.T) {
			exporttest.Run(t, func(*testing.T) exporters.Exporter { return exporters.Log(slog.New(handler(io.Discard))) })
		})
	}
}

// logged returns the records that a JSON handler with the given level writes for a snapshot.
func logged(t *testing.T, level slog.Level, s *runtimeinfo.Snapshot) []map[string]any {
	t.Helper()
	var buf bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&buf, &slog.HandlerOptions{Level: level, AddSource: true}))
	if err := exporters.Log(logger).Export(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	var records []map[string]any
	for d := json.NewDecoder(&buf); d.More(); {
		var r map[string]any
		if err := d.Decode(&r); err != nil {
			t.Fatal(err)
		}
		records = append(records, r)
	}
	return records
}

func TestLog(t *testing.T) {
	want := []map[string]any{
		{
			"time": "2026-01-02T03:04:05.678Z", "level": "INFO", "msg": "runtime",
			"gmpulse.goroutine.user":        42.0,
			"go.processor.limit":            4.0,
			"gmpulse.schedule.duration.p99": 0.001953125,
			"gmpulse.memory.heap_alloc":     123456789.0,
			"go.memory.gc.cycles":           7.0,
			"gmpulse.gc.pause.max":          0.000244140625,
			"process.memory.usage":          268435456.0,
			"gmpulse.root_spans.started":    98765.0,
			"span": map[string]any{
				"active": 2.0,
				"oldest": map[string]any{"trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "span_id": "00f067aa0ba902b7", "name": "POST /checkout", "age": 2.5},
			},
		},
		{
			"time": "2026-01-02T03:04:05.578Z", "level": "WARN", "msg": "goroutines.growth",
			"message": "Goroutines grew from 42 to 1042 within 30 s, most of them blocked sending on a channel.",
			"attributes": map[string]any{
				"from": 42.0, "to": 1042.0, "within": 30e9, "confidence": 0.99, "proven": false,
				"site": map[string]any{"function": "main.(*pool).submit", "line": 87.0},
			},
			"spans": []any{
				map[string]any{"trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "span_id": "00f067aa0ba902b7", "name": "POST /checkout", "age": 2.4},
			},
		},
	}
	got := logged(t, slog.LevelInfo, exporttest.Snapshot().WithEvents([]runtimeinfo.Event{exporttest.Event()}))
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestLogLevel(t *testing.T) {
	debug, warn := exporttest.Event(), exporttest.Event()
	debug.Severity = slog.LevelDebug
	got := logged(t, slog.LevelWarn, exporttest.Snapshot().WithEvents([]runtimeinfo.Event{debug, warn}))
	if len(got) != 1 || got[0]["level"] != "WARN" {
		t.Errorf("got %v, want the warning only", got)
	}
}

func TestLogHasEveryHeadline(t *testing.T) {
	var points []runtimeinfo.Point
	for _, m := range catalogue.All() {
		if m.Headline && m.Keys == nil {
			points = append(points, runtimeinfo.Point{Metric: m, Number: 1, Histogram: &runtimeinfo.Histogram{}})
		}
	}
	got := logged(t, slog.LevelInfo, runtimeinfo.NewSnapshot(points...))[0]
	for _, p := range points {
		if got[p.Metric.Key()] != 1.0 {
			t.Errorf("%s is %v, want 1", p.Metric.Key(), got[p.Metric.Key()])
		}
	}
	if n := len(got) - len(points); n != 3 { // level, msg, span
		t.Errorf("%d attributes in addition to the headlines: %q", n, slices.Sorted(maps.Keys(got)))
	}
}

func TestLogNumbersAsText(t *testing.T) {
	headline := exporttest.Snapshot().Metrics()[1]
	tests := map[float64]string{
		268435456:            "268435456",
		-3:                   "-3",
		0.25:                 "0.25",
		1 << 53:              "9.007199254740992e+15",
		math.MaxFloat64:      "1.7976931348623157e+308",
		math.Copysign(0, -1): "0",
	}
	for number, want := range tests {
		var buf bytes.Buffer
		log := exporters.Log(slog.New(slog.NewTextHandler(&buf, nil)))
		if err := log.Export(t.Context(), runtimeinfo.NewSnapshot(runtimeinfo.Point{Metric: headline, Number: number})); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(buf.String(), "="+want+" ") {
			t.Errorf("%v: logged %q, want %s", number, buf.String(), want)
		}
	}
}

// failing is a handler that returns an error and counts the calls.
type failing struct {
	slog.Handler
	calls *int
}

var errFull = errors.New("disk full")

func (f failing) Handle(context.Context, slog.Record) error {
	*f.calls++
	return errFull
}

func TestLogReturnsTheErrorOfTheHandler(t *testing.T) {
	var calls int
	var buf bytes.Buffer
	log := exporters.Log(slog.New(failing{slog.NewTextHandler(&buf, nil), &calls}))
	err := log.Export(t.Context(), exporttest.Snapshot().WithEvents([]runtimeinfo.Event{exporttest.Event()}))
	if !errors.Is(err, errFull) {
		t.Errorf("error %v, want %v", err, errFull)
	}
	if calls != 1 || buf.Len() > 0 {
		t.Errorf("%d calls and %q after the failure, want no further records", calls-1, buf.String())
	}
}

func TestLogUsesTheCurrentDefaultLogger(t *testing.T) {
	log := exporters.Log(nil)
	before := slog.Default()
	t.Cleanup(func() { slog.SetDefault(before) })
	var buf bytes.Buffer
	slog.SetDefault(slog.New(slog.NewTextHandler(&buf, nil)))
	if err := log.Export(t.Context(), exporttest.Snapshot()); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(buf.String(), "msg=runtime") {
		t.Errorf("logged %q to the default logger, want the snapshot", buf.String())
	}
}
