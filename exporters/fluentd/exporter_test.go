// SPDX-License-Identifier: Apache-2.0

package fluentd_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"math"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/exporttest"
	"github.com/gmpulse/gmpulse/exporters/fluentd"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

func TestConformance(t *testing.T) {
	exporttest.Run(t, func(t *testing.T) exporters.Exporter {
		t.Helper()
		exp, err := fluentd.New(fluentd.Config{URL: newPeer(t, ack).URL()})
		if err != nil {
			t.Fatal(err)
		}
		return exp
	})
}

// moment has nanoseconds that a float64 of seconds cannot represent.
var moment = time.Unix(1_790_000_000, 123_456_789)

// snapshot returns a small snapshot.
func snapshot(seq uint64) *runtimeinfo.Snapshot {
	gauge := &runtimeinfo.Metric{Name: "test.gauge", Unit: "1", Kind: runtimeinfo.KindGauge}
	gone := &runtimeinfo.Metric{Name: "test.absent", Unit: "1", Kind: runtimeinfo.KindGauge}
	series := &runtimeinfo.Metric{Name: "test.series", Unit: "1", Kind: runtimeinfo.KindGauge, Keys: []string{"exporter"}, FixedLabels: true}
	hist := &runtimeinfo.Metric{Name: "test.hist", Unit: "s", Kind: runtimeinfo.KindHistogram}
	s := runtimeinfo.NewSnapshot(
		runtimeinfo.Point{Metric: gauge, Number: 0.5},
		runtimeinfo.Point{Metric: gone, Number: math.NaN()},
		runtimeinfo.Point{Metric: series, Labels: []string{"a"}, Number: 1},
		runtimeinfo.Point{Metric: series, Labels: []string{"b"}, Number: 2},
		runtimeinfo.Point{Metric: hist, Histogram: &runtimeinfo.Histogram{Bounds: []float64{1}, Counts: []uint64{3, 4}, Sum: 9}},
	)
	s.Seq = seq
	s.Time = moment.Add(time.Duration(seq) * time.Second)
	s.Resource = []runtimeinfo.Attr{{Key: "service.instance.id", Value: "i-1"}}
	return s
}

func event(name string) runtimeinfo.Event {
	return runtimeinfo.Event{
		Time: moment, Name: name, Severity: slog.LevelWarn, Message: "It happened.",
		Attrs: []slog.Attr{slog.Int("n", -7)},
	}
}

func TestRecordsOnTheWire(t *testing.T) {
	p := newPeer(t, ack)
	exp := newExporter(t, fluentd.Config{URL: p.URL(), Service: "checkout", Full: true})
	s := snapshot(math.MaxUint64)
	s.Time = moment.Add(time.Nanosecond)
	s.Spans = []runtimeinfo.Span{{TraceID: [16]byte{1}, SpanID: [8]byte{2}, Name: "GET /", Start: s.Time.Add(-2 * time.Second)}}
	s = s.WithEvents([]runtimeinfo.Event{event("first"), event("second"), {Name: "timeless"}})
	if err := exp.Export(t.Context(), s); err != nil {
		t.Fatal(err)
	}

	wide := map[string]any{
		"id":                           "i-1/-1fmlvpbbdw2yo/18446744073709551615",
		"seq":                          uint64(math.MaxUint64),
		"resource.service.instance.id": "i-1",
		"test.gauge":                   0.5,
		"test.series.a":                1.0,
		"test.series.b":                2.0,
		"ticks":                        1.0,
		"message":                      "1 span active, oldest 2s (GET /)",
		"span.active":                  1.0,
		"span.oldest_age":              2.0,
		"test.hist.count":              int64(7), // a generic decoder returns small unsigned numbers as int64
		"test.hist.sum":                9.0,
		"spans": []any{map[string]any{
			"trace_id": "01000000000000000000000000000000", "span_id": "0200000000000000", "name": "GET /", "age": 2.0,
		}},
	}
	happened := func(name string) map[string]any {
		return map[string]any{
			"id":  eventID(t, s, name),
			"seq": uint64(math.MaxUint64), "resource.service.instance.id": "i-1",
			"event.name": name, "severity": "WARN", "message": "It happened.",
			"attributes": map[string]any{"n": -7.0},
		}
	}
	timeless := map[string]any{
		"id":  eventID(t, s, "timeless"),
		"seq": uint64(math.MaxUint64), "resource.service.instance.id": "i-1",
		"event.name": "timeless", "severity": "INFO", "message": "",
	}
	want := []entry{
		{Tag: "gmpulse.checkout.event", Time: moment, Record: happened("first")},
		{Tag: "gmpulse.checkout.event", Time: moment, Record: happened("second")},
		{Tag: "gmpulse.checkout.event", Time: s.Time, Record: timeless},
		{Tag: "gmpulse.checkout.runtime", Time: s.Time, Record: wide},
	}
	got := p.Received()
	if len(got) != len(want) {
		t.Fatalf("%d records, want %d", len(got), len(want))
	}
	for i := range want {
		if !reflect.DeepEqual(got[i], want[i]) {
			t.Errorf("record %d\n got %v\nwant %v", i, got[i], want[i])
		}
	}
	if n := exp.Stats(); n != (fluentd.Stats{Acked: 4}) {
		t.Errorf("Stats() = %+v", n)
	}
}

// eventID returns the id of an event in [exporters.EventRecord].
func eventID(t *testing.T, s *runtimeinfo.Snapshot, name string) any {
	t.Helper()
	for i := range s.Events {
		if s.Events[i].Name == name {
			return maps.Collect(exporters.EventRecord(s, &s.Events[i]))["id"]
		}
	}
	t.Fatalf("no event %s", name)
	return nil
}

func TestExportSendsTheRecordsOfPackageExporters(t *testing.T) {
	p := newPeer(t, ack)
	exp := newExporter(t, fluentd.Config{URL: p.URL()})
	s := exporttest.Snapshot().WithEvents([]runtimeinfo.Event{exporttest.Event()})
	if err := exp.Export(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	got := p.Received()
	for i, want := range []iter.Seq2[string, any]{exporters.EventRecord(s, &s.Events[0]), exporters.Record(s)} {
		if w, g := canonical(maps.Collect(want)), canonical(got[i].Record); !reflect.DeepEqual(g, w) {
			t.Errorf("record %d\n got %v\nwant %v", i, g, w)
		}
	}
}

// canonical converts small uint64 values to int64.
func canonical(v any) any {
	switch v := v.(type) {
	case uint64:
		if v <= math.MaxInt64 {
			return int64(v)
		}
	case map[string]any:
		m := map[string]any{}
		for k, e := range v {
			m[k] = canonical(e)
		}
		return m
	case []any:
		l := make([]any, len(v))
		for i, e := range v {
			l[i] = canonical(e)
		}
		return l
	}
	return v
}

func TestExportRepairsText(t *testing.T) {
	p := newPeer(t, ack)
	exp := newExporter(t, fluentd.Config{URL: p.URL()})
	s := snapshot(1)
	s.Resource = []runtimeinfo.Attr{
		{Key: "service.name", Value: "bad \xff\xfe text"},
		{Key: "twice", Value: "first"},
		{Key: "twice", Value: "second"},
		{Key: "long", Value: strings.Repeat("é", 20_000)},
	}
	if err := exp.Export(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	r := p.Received()[0].Record
	if got := r["resource.service.name"]; got != "bad \uFFFD text" {
		t.Errorf("invalid text became %q", got)
	}
	if got := r["resource.twice"]; got != "first" {
		t.Errorf("of two values %q was sent", got)
	}
	long, _ := r["resource.long"].(string)
	if len(long) > 32_766 || len(long) < 32_766-8 || !strings.HasSuffix(long, "éé…") {
		t.Errorf("text of 40,000 bytes became %d: …%q", len(long), long[max(0, len(long)-16):])
	}
	if n := exp.Stats(); n.Omitted != 1 || n.Altered != 1 { // Record has repaired the invalid text
		t.Errorf("Stats() = %+v, want 1 omitted and 1 altered", n)
	}
}

func TestTooLargeRecordIsRejected(t *testing.T) {
	p := newPeer(t, ack)
	exp := newExporter(t, fluentd.Config{URL: p.URL()})
	big := event("big")
	for i := range 40 {
		big.Attrs = append(big.Attrs, slog.String(strconv.Itoa(i), strings.Repeat("x", 30<<10)))
	}
	err := exp.Export(t.Context(), snapshot(7).WithEvents([]runtimeinfo.Event{big, event("small")}))
	if !errors.Is(err, fluentd.ErrTooLarge) {
		t.Fatalf("Export: %v, want ErrTooLarge", err)
	}
	for _, want := range []string{p.URL(), "event big of snapshot 7", "1 MiB"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not contain %q", err, want)
		}
	}
	if got := p.Received(); len(got) != 2 || got[0].Record["event.name"] != "small" || got[1].Tag != "gmpulse.unknown_service.runtime" {
		t.Errorf("the other records: %v", got)
	}
}

func TestTimesOutOfRangeBecomeZero(t *testing.T) {
	p := newPeer(t, ack)
	exp := newExporter(t, fluentd.Config{URL: p.URL()})
	for at, want := range map[time.Time]int64{
		{}:                              0, // the server uses its own time
		time.Unix(-1, 0):                0,
		time.Unix(math.MaxUint32, 0):    math.MaxUint32,
		time.Unix(math.MaxUint32+9, 99): 0,
	} {
		s := snapshot(1)
		s.Time = at
		if err := exp.Export(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		if got := (<-p.Got).Time.Unix(); got != want {
			t.Errorf("%v arrived as %d, want %d", at, got, want)
		}
	}
}

func TestShutdownIsIdempotent(t *testing.T) {
	p := newPeer(t, ack)
	exp := newExporter(t, fluentd.Config{URL: p.URL()})
	if err := exp.Export(t.Context(), snapshot(1)); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := exp.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := exp.Export(t.Context(), snapshot(2)); !errors.Is(err, exporters.ErrShutdown) {
		t.Errorf("Export after Shutdown: %v", err)
	}
	done, cancel := context.WithCancel(t.Context())
	cancel()
	if err := exp.Shutdown(done); err != nil {
		t.Errorf("Shutdown of an idle exporter with ctx done: %v", err)
	}
}

func TestConnectionsAreClosed(t *testing.T) {
	p := newPeer(t, ack)
	exp := newExporter(t, fluentd.Config{URL: p.URL()})
	if err := exp.Export(t.Context(), snapshot(1)); err != nil {
		t.Fatal(err)
	}
	p.Behave(noAck)
	err := within(t, short, func(ctx context.Context) error { return exp.Export(ctx, snapshot(2)) })
	if err == nil {
		t.Error("Export succeeded without an acknowledgement")
	}
	closed(t, p, "of the failed record")
	p.Behave(ack)
	if err := exp.Export(t.Context(), snapshot(3)); err != nil {
		t.Fatal(err)
	}
	if err := exp.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	closed(t, p, "of the last record")
	if n := len(p.Received()); n != 3 {
		t.Errorf("%d records arrived, want 3: a record that timed out must not be sent again at once", n)
	}
}

func closed(t *testing.T, p *peer, which string) {
	t.Helper()
	select {
	case <-p.Ended:
	case <-time.After(5 * time.Second):
		t.Fatalf("a connection stays open: that %s", which)
	}
}

func TestShutdownBeforeExport(t *testing.T) {
	p := newPeer(t, ack)
	exp := newExporter(t, fluentd.Config{URL: p.URL()})
	if err := exp.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := exp.Export(t.Context(), snapshot(1)); !errors.Is(err, exporters.ErrShutdown) {
		t.Errorf("Export after Shutdown: %v", err)
	}
	if dialled, _, _ := p.Counts(); dialled != 0 {
		t.Error("the exporter connected without an Export")
	}
}

func ExampleNew() {
	exp, err := fluentd.New(fluentd.Config{URL: "tcp://[::1]:24224", Service: "checkout"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(exp.Stats().Acked, exp.Shutdown(context.Background()))
	// Output: 0 <nil>
}

func ExampleNew_misconfigured() {
	_, err := fluentd.New(fluentd.Config{URL: "localhost:24224", AckTimeout: -1})
	fmt.Println(err)
	// Output:
	// fluentd: URL "localhost:24224": unknown scheme: want tcp://host:port, tls://host:port or unix:///path
	// AckTimeout -1ns: want a positive duration, or 0 for 5s
}
