// SPDX-License-Identifier: Apache-2.0

package exporters_test

import (
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/exporttest"
	"github.com/gmpulse/gmpulse/internal/catalogue"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// object is a record or a map in one.
type object = map[string]any

// head returns the fields that both records of exporttest.Snapshot have.
func head() object {
	return object{
		"id":                            "checkout-7d9f8b6c5-x2x9k/dfdqgh00tg8w/3600", // the start, 02:04:05.678 UTC, in base 36
		"seq":                           uint64(3600),
		"ticks":                         1.0,
		"message":                       "checkout: 42 goroutines, heap 123 MB, 2 spans active, oldest 2.5s (POST /checkout)",
		"resource.service.name":         "checkout",
		"resource.service.version":      "1.4.2",
		"resource.service.instance.id":  "checkout-7d9f8b6c5-x2x9k",
		"span.active":                   2.0,
		"span.oldest_age":               2.5,
		"gmpulse.goroutine.user":        42.0,
		"go.processor.limit":            4.0,
		"gmpulse.schedule.duration.p99": 0.00195312, // six digits
		"gmpulse.memory.heap_alloc":     123456789.0,
		"go.memory.gc.cycles":           7.0,
		"gmpulse.gc.pause.max":          0.000244141,
		"process.memory.usage":          268435456.0,
		"gmpulse.root_spans.started":    98765.0,
		"gmpulse.root_span.active":      []any{"1 GET /orders/{id}", "1 POST /checkout"},
		"gmpulse.exporter.dropped.fluentd.snapshot.replaced": 2.0,
		"spans": []any{
			object{"trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "span_id": "00f067aa0ba902b7", "name": "POST /checkout", "age": 2.5},
			object{"trace_id": "0af7651916cd43dd8448eb211c80319c", "span_id": "b7ad6b7169203331", "name": "GET /orders/{id}", "age": 0.125},
		},
	}
}

func TestRecord(t *testing.T) { diff(t, exporters.Record(exporttest.Snapshot()), head()) }

func TestFullRecord(t *testing.T) {
	want := head()
	maps.Copy(want, object{
		"go.goroutine.count":                              47.0,
		"gmpulse.scheduler.goroutines.runnable":           3.0,
		"gmpulse.scheduler.goroutines.waiting":            36.0,
		"gmpulse.runnable.per_processor":                  0.75,
		"go.schedule.duration.count":                      uint64(1000),
		"go.schedule.duration.sum":                        3.5,
		"gmpulse.schedule.duration.p99":                   0.001953125,
		"gmpulse.gc.pause.max":                            0.000244140625,
		"gmpulse.gc.cpu":                                  0.015625,
		"process.cpu.time.user":                           12.5,
		"process.cpu.time.system":                         3.25,
		"gmpulse.exporter.dropped.fluentd.event.rejected": 0.0,
		"gmpulse.exporter.up.fluentd":                     1.0,
	})
	diff(t, exporters.FullRecord(exporttest.Snapshot()), want)
}

// A full record has the root spans that ended, the most frequent name first.
func TestFullRecordOfRootSpans(t *testing.T) {
	s := exporttest.Snapshot()
	s.SpanGroups = []runtimeinfo.SpanGroup{
		{Name: "DELETE /", Active: 1},
		{Name: "GET /", Ended: 1, Durations: &runtimeinfo.Histogram{Bounds: []float64{0.5}, Counts: []uint64{1, 0}, Sum: 0.375}},
		{Name: "POST /\xff", Ended: 9, Errors: 2, Durations: &runtimeinfo.Histogram{Bounds: []float64{0.00128, 0.001536, 0.001792}, Counts: []uint64{7, 0, 2, 0}, Sum: 0.0125}},
	}
	want := []any{
		object{"name": "POST /\uFFFD", "ended": uint64(9), "errors": uint64(2), "seconds": 0.0125, "durations": "1280:7 1792:2"},
		object{"name": "GET /", "ended": uint64(1), "errors": uint64(0), "seconds": 0.375, "durations": "500000:1"},
	}
	if got := maps.Collect(exporters.FullRecord(s))["root_spans"]; !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if got, ok := maps.Collect(exporters.Record(s))["root_spans"]; ok {
		t.Errorf("a compact record has them: %v", got)
	}
}

// A record of a summary has the ranges of its metrics.
func TestRecordOfASummary(t *testing.T) {
	want := head()
	want["ticks"], want["interval"] = 10.0, 10.0
	for _, key := range []string{"gmpulse.goroutine.user", "gmpulse.memory.heap_alloc", "process.memory.usage"} {
		want[key+"_max"] = 4 * exact[key]
	}
	want["gmpulse.schedule.duration.p99_max"], want["gmpulse.gc.pause.max_max"] = 0.0078125, 0.000976562
	diff(t, exporters.Record(exporttest.Summary()), want)
}

// exact has values of exporttest.Snapshot.
var exact = map[string]float64{"gmpulse.goroutine.user": 42, "gmpulse.memory.heap_alloc": 123456789, "process.memory.usage": 268435456}

// A gauge of the application may have the name that the range of another has.
func TestRecordPrefersAMetricToARange(t *testing.T) {
	depth := &runtimeinfo.Metric{Name: "depth", Kind: runtimeinfo.KindGauge, Headline: true, Ranged: true, Subsystem: runtimeinfo.SubsystemUser}
	most := &runtimeinfo.Metric{Name: "depth_max", Kind: runtimeinfo.KindGauge, Headline: true}
	s := runtimeinfo.NewSnapshot(
		runtimeinfo.Point{Metric: depth, Number: 2, Range: &runtimeinfo.Range{Min: 1, Mean: 2, Max: 3}},
		runtimeinfo.Point{Metric: most, Number: 100},
	)
	diff(t, exporters.Record(s), object{
		"id": "/-1fmlvpbbdw2yo/1", "seq": uint64(1), "ticks": 1.0,
		"depth": 2.0, "depth_min": 1.0, "depth_mean": 2.0, "depth_max": 100.0,
	})
}

// A compact record has the values of a range that tell something: the maximum of what exists and of what is a
// maximum or a percentile already, the minimum of a headroom, all of a gauge of the application. A full record has all.
func TestRecordHasTheInterestingEndsOfARange(t *testing.T) {
	var points []runtimeinfo.Point
	for name, subsystem := range map[string]runtimeinfo.Subsystem{
		"used": runtimeinfo.SubsystemMemory, "pause.max": runtimeinfo.SubsystemMemory, "wait.p99": runtimeinfo.SubsystemMemory,
		"memory.headroom": runtimeinfo.SubsystemMemory, "threads": runtimeinfo.SubsystemScheduler, "shop.pause.max": runtimeinfo.SubsystemUser,
	} {
		m := &runtimeinfo.Metric{Name: name, Kind: runtimeinfo.KindGauge, Headline: true, Ranged: true, Subsystem: subsystem}
		if name == "threads" {
			m.Kind = runtimeinfo.KindUpDownCounter
		}
		points = append(points, runtimeinfo.Point{Metric: m, Number: 3, Range: &runtimeinfo.Range{Min: 1, Mean: 2, Max: 4}})
	}
	s := runtimeinfo.NewSnapshot(points...)
	want := object{
		"id": "/-1fmlvpbbdw2yo/1", "seq": uint64(1), "ticks": 1.0,
		"used": 3.0, "used_mean": 2.0, "used_max": 4.0, "pause.max": 3.0, "pause.max_max": 4.0, "wait.p99": 3.0, "wait.p99_max": 4.0,
		"threads": 3.0, "threads_max": 4.0,
		"memory.headroom": 3.0, "memory.headroom_min": 1.0,
		"shop.pause.max": 3.0, "shop.pause.max_min": 1.0, "shop.pause.max_mean": 2.0, "shop.pause.max_max": 4.0,
	}
	diff(t, exporters.Record(s), want)
	for _, key := range []string{"used", "pause.max", "wait.p99", "memory.headroom", "threads"} {
		want[key+"_min"], want[key+"_mean"], want[key+"_max"] = 1.0, 2.0, 4.0
	}
	diff(t, exporters.FullRecord(s), want)
}

// Only full records and events repeat what other attributes identify.
func TestRecordOfAPodHasNoIDsThatOthersRepeat(t *testing.T) {
	s, e := exporttest.Snapshot(), exporttest.Event()
	s.Resource = append(s.Resource,
		runtimeinfo.Attr{Key: "host.name", Value: "checkout-1"}, runtimeinfo.Attr{Key: "k8s.pod.name", Value: "checkout-1"},
		runtimeinfo.Attr{Key: "container.id", Value: "4bf9"}, runtimeinfo.Attr{Key: "k8s.pod.uid", Value: "8a7c"}, runtimeinfo.Attr{Key: "process.pid", Value: "1"})
	want := head()
	want["resource.k8s.pod.name"] = "checkout-1"
	diff(t, exporters.Record(s), want)
	for name, record := range map[string]object{"full": maps.Collect(exporters.FullRecord(s)), "event": maps.Collect(exporters.EventRecord(s, &e))} {
		for _, a := range s.Resource {
			if record["resource."+a.Key] != a.Value {
				t.Errorf("%s: %s is %v, want %s", name, a.Key, record["resource."+a.Key], a.Value)
			}
		}
	}
	s.Resource[3].Value = "node-17" // as with the network of the node
	want["resource.host.name"] = "node-17"
	diff(t, exporters.Record(s), want)
}

// A text of a compact record states a function once.
func TestRecordDoesNotRepeatALabel(t *testing.T) {
	group := &runtimeinfo.Metric{Name: "group", Kind: runtimeinfo.KindGauge, Keys: []string{"wait", "site", "entry", "verdict", "incident"}, Headline: true}
	s := runtimeinfo.NewSnapshot(
		runtimeinfo.Point{Metric: group, Number: 9, Labels: []string{"select", "main.loop (main.go:42)", "main.loop", "pool", "main.loop (main.go:42)"}},
		runtimeinfo.Point{Metric: group, Number: 2, Labels: []string{"IO wait", "pool.(*Pool).get (pool.go:7)", "main.handle", "pool", ""}},
	)
	compact := []any{"9 select, main.loop (main.go:42), pool", "2 IO wait, pool.(*Pool).get (pool.go:7), main.handle, pool"}
	full := []any{"9 select, main.loop (main.go:42), main.loop, pool, main.loop (main.go:42)", compact[1]}
	if got := maps.Collect(exporters.Record(s))["group"]; !reflect.DeepEqual(got, compact) {
		t.Errorf("compact: %q", got)
	}
	if got := maps.Collect(exporters.FullRecord(s))["group"]; !reflect.DeepEqual(got, full) {
		t.Errorf("full: %q", got)
	}
}

func TestRecordStatesWhatIsUnusual(t *testing.T) {
	s := exporttest.Snapshot()
	s.Bands = []runtimeinfo.Band{
		{Signal: "goroutines", Unit: "{goroutine}", Value: 42, Expected: 10, Lower: 8, Upper: 12.5, Since: s.Time.Add(-200 * time.Second)},
		{Signal: "gc.cpu", Unit: "1", Value: 0.5, Expected: 0.5, Lower: 0.4, Upper: 0.6},
		{Signal: "root_span.p99 GET /", Unit: "s", Value: 0.4471, Expected: 0.02, Lower: 0.01, Upper: 0.03},
		{Signal: "scheduler.latency.p99", Unit: "s", Value: 261e-6, Expected: 250e-6, Upper: 2e-3, Since: s.Time.Add(-time.Minute)}, // the anomaly is open, the value has returned
		{Signal: "orders", Value: 5, Expected: 50, Lower: 40, Upper: 60},
	}
	s.Incidents = []*runtimeinfo.Incident{
		{Kind: "leak", Site: "main.(*pool).submit (pool.go:87)", Root: "POST /checkout", Since: s.Time.Add(-time.Hour), Size: 1042, Unit: "{goroutine}"},
	}
	want := head()
	want["message"] = "checkout: 42 goroutines (usual 10), heap 123 MB, 2 spans active, oldest 2.5s (POST /checkout); 1 incident open: leak at main.(*pool).submit (pool.go:87) under POST /checkout; unusual: root_span.p99 GET / 447ms, orders 5"
	want["incidents"] = []any{"leak at main.(*pool).submit (pool.go:87) under POST /checkout, 1042, for 1h"}
	want["unusual"] = []any{"goroutines 42, expected at most 12.5, anomaly for 3m20s", "root_span.p99 GET / 447ms, expected at most 30ms", "orders 5, expected at least 40"}
	diff(t, exporters.Record(s), want)
}

// Labels of the application become text: 3 of the largest values in a compact record, and 64 in a full
// one. A metric with fixed labels has at most 128 keys.
func TestRecordBoundsLabels(t *testing.T) {
	free := &runtimeinfo.Metric{Name: "free", Unit: "s", Kind: runtimeinfo.KindGauge, Keys: []string{"place", "root"}, Headline: true}
	fixed := &runtimeinfo.Metric{Name: "fixed", Kind: runtimeinfo.KindCounter, Keys: []string{"name"}, FixedLabels: true, Fault: true}
	var points []runtimeinfo.Point
	for i := range 1000 {
		points = append(points, runtimeinfo.Point{Metric: free, Number: float64(i) / 8, Labels: []string{fmt.Sprint("main.go:", i), ""}})
	}
	for i := range 1000 {
		points = append(points, runtimeinfo.Point{Metric: fixed, Number: float64(i % 2), Labels: []string{fmt.Sprint("a.b c/", i)}})
	}
	s := runtimeinfo.NewSnapshot(points...)
	for name, tt := range map[string]struct {
		record iter.Seq2[string, any]
		texts  int
		key    string
	}{
		"compact": {exporters.Record(s), 3, "fixed.a_b_c_1"},
		"full":    {exporters.FullRecord(s), 64, "fixed.a_b_c_0"},
	} {
		record := maps.Collect(tt.record)
		texts, _ := record["free"].([]any)
		if len(texts) != tt.texts || texts[0] != "2m5s main.go:999" {
			t.Errorf("%s: %d texts, %.100v", name, len(texts), texts)
		}
		if _, ok := record[tt.key]; len(record) != 4+128 || !ok {
			t.Errorf("%s: %d keys, want 132 with %s", name, len(record), tt.key)
		}
	}
}

func TestEventRecord(t *testing.T) {
	e := exporttest.Event()
	want := object{
		"id":                           "checkout-7d9f8b6c5-x2x9k/dfdqgh00tg8w/dfdrqersbxj4/28594needjn8v", // time, FNV-1a of name and message
		"seq":                          uint64(3600),
		"resource.service.name":        "checkout",
		"resource.service.version":     "1.4.2",
		"resource.service.instance.id": "checkout-7d9f8b6c5-x2x9k",
		"event.name":                   "goroutines.growth",
		"severity":                     "WARN",
		"message":                      "Goroutines grew from 42 to 1042 within 30 s, most of them blocked sending on a channel.",
		"attributes": object{
			"from": uint64(42), "to": uint64(1042), "within": 30.0, "confidence": 0.99, "proven": false,
			"site": object{"function": "main.(*pool).submit", "line": uint64(87)},
		},
		"incident.id":        "goroutines-1",
		"incident.phase":     "opened",
		"incident.since":     "2026-01-02T03:04:05.578Z",
		"incident.kind":      "leak",
		"incident.site":      "main.(*pool).submit (pool.go:87)",
		"incident.root_span": "POST /checkout",
		"incident.size":      1042.0,
		"incident.hint":      "nothing receives from the channel",
		"spans": []any{
			object{"trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "span_id": "00f067aa0ba902b7", "name": "POST /checkout", "age": 2.4},
		},
	}
	diff(t, exporters.EventRecord(exporttest.Snapshot(), &e), want)
}

// diff compares a record with want, key by key.
func diff(t *testing.T, record iter.Seq2[string, any], want object) {
	t.Helper()
	got := object{}
	for k, v := range record {
		if _, twice := got[k]; twice {
			t.Errorf("%s occurs twice in the record", k)
		}
		got[k] = v
	}
	for k, w := range want {
		if g, ok := got[k]; !ok || !reflect.DeepEqual(g, w) {
			t.Errorf("%s\n got %#v\nwant %#v", k, g, w)
		}
	}
	for k, g := range got {
		if _, ok := want[k]; !ok {
			t.Errorf("%s is %#v, want it absent", k, g)
		}
	}
}

// loop is a LogValuer whose value contains itself twice.
type loop struct{}

func (l loop) LogValue() slog.Value {
	return slog.GroupValue(slog.Any("again", l), slog.Any("", l))
}

func TestEventRecordAttributes(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.FixedZone("", 3600))
	tests := []struct {
		attr slog.Attr
		want object // nil: no attributes at all
	}{
		{slog.Int64("k", 9007199254740993), object{"k": uint64(9007199254740993)}},
		{slog.Int64("k", -5), object{"k": -5.0}},
		{slog.Uint64("k", math.MaxUint64), object{"k": uint64(math.MaxUint64)}},
		{slog.Float64("k", math.MaxFloat64), object{"k": math.MaxFloat64}},
		{slog.Float64("k", math.NaN()), nil},
		{slog.Float64("k", math.Inf(-1)), nil},
		{slog.Duration("k", 1500*time.Millisecond), object{"k": 1.5}},
		{slog.Time("k", at), object{"k": "2026-01-02T03:04:05.000000006+01:00"}},
		{slog.Any("k", nil), object{"k": "<nil>"}},
		{slog.Any("k", []int{1, 2}), object{"k": "[1 2]"}},
		{slog.String("k", "a\xffb"), object{"k": "a\uFFFDb"}},
		{slog.String("k\xff", "v"), object{"k\uFFFD": "v"}},
		{slog.String("", "v"), object{"!BADKEY": "v"}},
		{slog.Attr{}, nil},
		{slog.GroupAttrs("k"), nil},
		{slog.GroupAttrs("k", slog.Float64("nan", math.NaN())), nil},
		{slog.GroupAttrs("", slog.Bool("k", true)), object{"k": true}},
		{slog.GroupAttrs("g", slog.Any("v", slog.AnyValue(time.Second))), object{"g": object{"v": 1.0}}},
		{slog.Any("loop", loop{}), nil},
	}
	for _, tt := range tests {
		t.Run(tt.attr.String(), func(t *testing.T) {
			record := attributes(tt.attr)
			if !reflect.DeepEqual(record, tt.want) {
				t.Errorf("got %#v, want %#v", record, tt.want)
			}
		})
	}
}

// attributes returns the attributes in the record of an event.
func attributes(attrs ...slog.Attr) object {
	e := runtimeinfo.Event{Attrs: attrs}
	m, _ := maps.Collect(exporters.EventRecord(runtimeinfo.NewSnapshot(), &e))["attributes"].(object)
	return m
}

type panics struct{}

func (panics) LogValue() slog.Value { panic("oh") }

func TestEventRecordRecoversPanicOfLogValue(t *testing.T) {
	got := attributes(slog.Any("panics", panics{}), slog.Int("after", 1))
	if s, _ := got["panics"].(string); !strings.Contains(s, "panicked") || got["after"] != uint64(1) {
		t.Errorf("attributes %#v, want the text of the panic and the next attribute", got)
	}
}

func TestRecordOmitsNumbersThatAreNotFinite(t *testing.T) {
	rows := map[string]*runtimeinfo.Metric{}
	for _, m := range exporttest.Snapshot().Metrics() {
		rows[m.Key()] = m
	}
	up, latency := rows["gmpulse.exporter.up"], rows["go.schedule.duration"]
	s := runtimeinfo.NewSnapshot(
		runtimeinfo.Point{Metric: rows["go.goroutine.count"], Number: math.Inf(1)},
		runtimeinfo.Point{Metric: rows["gmpulse.goroutine.user"], Number: math.NaN()},
		runtimeinfo.Point{Metric: rows["gmpulse.runnable.per_processor"], Number: math.MaxFloat64},
		runtimeinfo.Point{Metric: latency, Histogram: &runtimeinfo.Histogram{Counts: []uint64{1}, Sum: math.NaN()}},
		runtimeinfo.Point{Metric: up, Labels: []string{"a\xff"}, Number: 1},
		runtimeinfo.Point{Metric: up, Labels: []string{"b"}, Number: math.NaN()},
	)
	diff(t, exporters.FullRecord(s), object{
		"id":                             "/-1fmlvpbbdw2yo/1",
		"seq":                            uint64(1),
		"ticks":                          1.0,
		"gmpulse.runnable.per_processor": math.MaxFloat64,
		"go.schedule.duration.count":     uint64(1),
		"gmpulse.exporter.up.a_":         1.0,
	})
}

// A span may start in the future if the clock is set back.
func TestRecordOfFutureSpanAndInvalidUTF8(t *testing.T) {
	s := runtimeinfo.NewSnapshot()
	s.Resource = []runtimeinfo.Attr{{Key: "k\xff", Value: "v\xff"}}
	s.Spans = []runtimeinfo.Span{{Name: "s\xff", Start: s.Time.Add(time.Hour)}}
	diff(t, exporters.Record(s), object{
		"id":               "/-1fmlvpbbdw2yo/1",
		"seq":              uint64(1),
		"ticks":            1.0,
		"message":          "1 span active, oldest 0s (s\uFFFD)",
		"span.active":      1.0,
		"span.oldest_age":  0.0,
		"resource.k\uFFFD": "v\uFFFD",
		"spans": []any{
			object{"trace_id": strings.Repeat("0", 32), "span_id": strings.Repeat("0", 16), "name": "s\uFFFD", "age": 0.0},
		},
	})
}

// everything returns a summary with every metric of the catalogue, several series of each metric with
// labels, and gauges of the application.
func everything() *runtimeinfo.Snapshot {
	var points []runtimeinfo.Point
	for _, m := range append(catalogue.All(), &runtimeinfo.Metric{Name: "queue.depth", Headline: true, Ranged: true}) {
		p := runtimeinfo.Point{Metric: m, Number: 1}
		if m.Kind == runtimeinfo.KindHistogram {
			p.Histogram = &runtimeinfo.Histogram{Counts: []uint64{1}}
		}
		if m.Ranged {
			p.Range = &runtimeinfo.Range{Min: 0.5, Mean: 1, Max: 2}
		}
		for _, label := range []string{"first", "se.cond", "", "third"}[:1+3*min(1, len(m.Keys))] {
			p.Labels = slices.Repeat([]string{label}, len(m.Keys))
			points = append(points, p)
		}
	}
	s := runtimeinfo.NewSnapshot(points...)
	x := exporttest.Summary()
	s.Time, s.Since, s.Ticks, s.Resource, s.Spans = x.Time, x.Since, x.Ticks, x.Resource, x.Spans
	s.Bands = []runtimeinfo.Band{{Signal: "goroutines", Value: 2, Upper: 1}}
	s.Incidents = []*runtimeinfo.Incident{exporttest.Event().Incident}
	return s
}

// Elasticsearch rejects a record in which both a.b and a.b.c are numbers.
func TestNoRecordKeyIsAPrefixOfAnother(t *testing.T) {
	s, e := everything(), exporttest.Event()
	union := maps.Collect(exporters.FullRecord(s))
	if n := len(union); n < len(catalogue.All()) {
		t.Fatalf("%d keys for %d metrics", n, len(catalogue.All()))
	}
	for k, v := range exporters.Record(s) {
		if reflect.TypeOf(v) != reflect.TypeOf(union[k]) {
			t.Errorf("%s is a %T in a compact record and a %T in a full one", k, v, union[k])
		}
	}
	for k, v := range exporters.EventRecord(s, &e) {
		if other, ok := union[k]; ok && reflect.TypeOf(v) != reflect.TypeOf(other) {
			t.Errorf("%s is a %T in an event and a %T in a snapshot", k, v, other)
		}
		union[k] = v
	}
	if c := clashes(slices.Sorted(maps.Keys(union))); len(c) > 0 {
		t.Errorf("keys below other keys: %q", c)
	}
	if c := clashes([]string{"a", "a.b", "ab"}); len(c) != 1 {
		t.Errorf("clashes found %q, want only a.b", c)
	}
}

// The keys do not depend on the values: each key of a record of the fixed snapshot is in a record of every
// metric, and names of spans and places are no keys.
func TestRecordKeysAreStable(t *testing.T) {
	all := maps.Collect(exporters.Record(everything()))
	if n := len(all); n > 120 {
		t.Errorf("%d keys in a compact record; Elasticsearch has a field for each, in every index", n)
	}
	for k := range exporters.Record(exporttest.Summary()) {
		if _, ok := all[k]; !ok && !strings.HasPrefix(k, "gmpulse.exporter.") {
			t.Errorf("only some records have %s", k)
		}
	}
}

func clashes(keys []string) []string {
	var found []string
	for _, k := range keys {
		if slices.ContainsFunc(keys, func(other string) bool { return strings.HasPrefix(k, other+".") }) {
			found = append(found, k)
		}
	}
	return found
}

// The iteration is stopped after every possible number of entries. A yield after that panics.
func TestRecordIteratorsStop(t *testing.T) {
	s, e := exporttest.Snapshot(), exporttest.Event()
	for _, record := range []iter.Seq2[string, any]{exporters.Record(s), exporters.FullRecord(s), exporters.EventRecord(s, &e)} {
		all := len(maps.Collect(record))
		for stop := range all {
			seen := 0
			for range record {
				if seen++; seen > stop {
					break
				}
			}
			if seen != stop+1 {
				t.Errorf("%d entries before the stop, want %d", seen, stop+1)
			}
		}
	}
}

func FuzzEventRecord(f *testing.F) {
	f.Add("name", "a\xffb", math.NaN(), int64(math.MinInt64))
	f.Fuzz(func(t *testing.T, key, s string, x float64, i int64) {
		e := runtimeinfo.Event{
			Name: s, Message: s, Spans: []runtimeinfo.Span{{Name: s}},
			Attrs: []slog.Attr{slog.String(key, s), slog.Float64("x", x), slog.Int64("i", i), slog.GroupAttrs(s, slog.Any(key, s))},
		}
		for k, v := range exporters.EventRecord(runtimeinfo.NewSnapshot(), &e) {
			if bad := badValue(k); bad != "" {
				t.Errorf("key: %s", bad)
			}
			if bad := badValue(v); bad != "" {
				t.Errorf("%s: %s", k, bad)
			}
		}
	})
}

// badValue describes what a record must not have in v, or returns an empty string.
func badValue(v any) string {
	switch v := v.(type) {
	case bool, uint64:
		return ""
	case string:
		if !utf8.ValidString(v) {
			return fmt.Sprintf("%q is not UTF-8", v)
		}
		return ""
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Sprint(v, " is not finite")
		}
		return ""
	case []any:
		return firstBad(slices.Values(v))
	case object:
		for k := range v {
			if k == "" {
				return "empty key"
			}
		}
		return firstBad(maps.Values(v))
	default:
		return fmt.Sprintf("%T is not allowed in a record", v)
	}
}

func firstBad(values iter.Seq[any]) string {
	for v := range values {
		if bad := badValue(v); bad != "" {
			return bad
		}
	}
	return ""
}
