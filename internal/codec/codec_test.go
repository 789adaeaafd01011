// SPDX-License-Identifier: Apache-2.0

package codec_test

import (
	"bytes"
	"encoding/binary"
	"errors"
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
	"github.com/gmpulse/gmpulse/internal/codec"
	"github.com/gmpulse/gmpulse/internal/sampler"
	"github.com/gmpulse/gmpulse/internal/testutil"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// roundTrip encodes s and decodes it with a new decoder.
func roundTrip(t testing.TB, s *runtimeinfo.Snapshot) *runtimeinfo.Snapshot {
	t.Helper()
	var enc codec.Encoder
	record, err := enc.Append(nil, s)
	if err != nil {
		t.Fatal(err)
	}
	id, schema := enc.Schema()
	var dec codec.Decoder
	learned, err := dec.Learn(slices.Clone(schema))
	of, errOf := codec.SchemaOf(record)
	if err != nil || errOf != nil || learned != id || of != id {
		t.Fatalf("schema %x, learned %x (%v), record of %x (%v)", id, learned, err, of, errOf)
	}
	got, err := dec.Decode(slices.Clone(record))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// fill sets every exported field of v, recursively, to a different value that is not zero. A field
// that the codec does not encode is decoded as zero.
func fill(v reflect.Value, n *int64) {
	*n++
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(time.Unix(1_790_000_000+*n, *n).UTC()))
		return
	case []slog.Attr:
		v.Set(reflect.ValueOf([]slog.Attr{slog.Int64("n", *n), slog.GroupAttrs("g", slog.String("s", "v"), slog.Duration("d", time.Duration(*n)))}))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fill(v.Field(i), n)
			}
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0), n)
		fill(v.Index(1), n)
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i), n)
		}
	case reflect.String:
		v.SetString(strings.Repeat("x", int(*n%50)+1))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Float64:
		v.SetFloat(float64(*n) + 0.1)
	case reflect.Int, reflect.Int64:
		v.SetInt(-*n)
	case reflect.Uint8, reflect.Uint64:
		v.SetUint(uint64(*n) % 251)
	default:
		panic("fill does not support " + v.Type().String())
	}
}

// The test fails if a new field of a snapshot is missing in the codec.
func TestCodecEncodesAllFields(t *testing.T) {
	s := runtimeinfo.NewSnapshot()
	var n int64
	fill(reflect.ValueOf(s).Elem(), &n)
	got := roundTrip(t, s)
	for i := range s.SpanGroups {
		s.SpanGroups[i].Durations = nil // a spool does not keep them
	}
	want, have := reflect.ValueOf(s).Elem(), reflect.ValueOf(got).Elem()
	for i := range want.NumField() {
		if f := want.Type().Field(i); f.IsExported() && !reflect.DeepEqual(have.Field(i).Interface(), want.Field(i).Interface()) {
			t.Errorf("%s\n got %+v\nwant %+v", f.Name, have.Field(i), want.Field(i))
		}
	}

	m := &runtimeinfo.Metric{}
	fill(reflect.ValueOf(m).Elem(), &n)
	p := runtimeinfo.Point{Metric: m, Labels: []string{"a", "b"}, Number: 1}
	for q := range roundTrip(t, runtimeinfo.NewSnapshot(p)).Points() {
		want, have := reflect.ValueOf(m).Elem(), reflect.ValueOf(q.Metric).Elem()
		for i := range want.NumField() {
			if f := want.Type().Field(i); f.IsExported() && !reflect.DeepEqual(have.Field(i).Interface(), want.Field(i).Interface()) {
				t.Errorf("Metric.%s: got %+v, want %+v", f.Name, have.Field(i), want.Field(i))
			}
		}
	}
}

// samePoints compares the points of two snapshots.
func samePoints(t *testing.T, got, want *runtimeinfo.Snapshot) {
	t.Helper()
	type value struct {
		key, name, unit, help string
		kind                  runtimeinfo.Kind
		attrs                 map[string]string
		number                float64
		exemplar              *runtimeinfo.Exemplar
		histogram             runtimeinfo.Histogram
	}
	values := func(s *runtimeinfo.Snapshot) (all []value) {
		for p := range s.Points() {
			m := p.Metric
			v := value{m.Key(), m.Name, m.Unit, m.Help, m.Kind, maps.Collect(p.Attrs()), p.Number, p.Exemplar, runtimeinfo.Histogram{}}
			if p.Histogram != nil {
				v.histogram = *p.Histogram
			}
			all = append(all, v)
		}
		return all
	}
	g, w := values(got), values(want)
	if len(g) != len(w) {
		t.Fatalf("%d values, want %d", len(g), len(w))
	}
	for i := range w {
		if !reflect.DeepEqual(g[i], w[i]) {
			t.Errorf("value %d\n got %+v\nwant %+v", i, g[i], w[i])
		}
	}
}

// Counters, series and histograms have exemplars, some with the same origin.
func TestCodecEncodesExemplars(t *testing.T) {
	var n int64
	exemplar := func() *runtimeinfo.Exemplar {
		x := &runtimeinfo.Exemplar{}
		fill(reflect.ValueOf(x).Elem(), &n)
		return x
	}
	x := exemplar()
	same := *x
	same.Value = 7
	counter := &runtimeinfo.Metric{Name: "c", Kind: runtimeinfo.KindCounter}
	other := &runtimeinfo.Metric{Name: "o", Kind: runtimeinfo.KindCounter}
	series := &runtimeinfo.Metric{Name: "s", Kind: runtimeinfo.KindCounter, Keys: []string{"k"}}
	hist := &runtimeinfo.Metric{Name: "h", Kind: runtimeinfo.KindHistogram}
	h := &runtimeinfo.Histogram{Bounds: []float64{1}, Counts: []uint64{1, 2}, Exemplars: []*runtimeinfo.Exemplar{nil, &same}}
	s := runtimeinfo.NewSnapshot(
		runtimeinfo.Point{Metric: counter, Number: 1, Exemplar: x},
		runtimeinfo.Point{Metric: other, Number: 2},
		runtimeinfo.Point{Metric: series, Number: 3, Labels: []string{"v"}, Exemplar: exemplar()},
		runtimeinfo.Point{Metric: hist, Histogram: h},
	)
	samePoints(t, roundTrip(t, s), s)
}

// A snapshot of this process with a gauge of the application.
func TestCodecEncodesLiveSnapshot(t *testing.T) {
	s := live(t)
	got := roundTrip(t, s)
	samePoints(t, got, s)
	if v, ok := got.Number("queue.depth"); !ok || v != 2.5 {
		t.Errorf("the gauge of the application is %v, %v", v, ok)
	}
	if g, w := len(got.Metrics()), len(s.Metrics()); g != w {
		t.Errorf("%d metrics, want %d, including absent ones", g, w)
	}
	if !maps.EqualFunc(record(got), record(s), reflect.DeepEqual) {
		t.Error("the record differs")
	}
}

func live(t testing.TB) *runtimeinfo.Snapshot {
	t.Helper()
	p := catalogue.NewProcess(exporttest.Snapshot().Resource...)
	if err := p.Gauge("queue.depth", "{item}"); err != nil {
		t.Fatal(err)
	}
	active := exporttest.Snapshot().Spans
	active[0].Sampled = true
	tick := sampler.Tick{Time: time.Now().UTC().Round(0), Span: &active[0]}
	p.Read(tick)
	p.Pulse(0)
	return p.Sample(tick, func(d *catalogue.Draft) {
		d.Set("queue.depth", 2.5)
		d.Exporter("prometheus", 1, 0, 0)
		d.Exporter("fluentd", 0, 0, 0)
		d.Groups(tick.Time, active, runtimeinfo.SpanGroup{Name: "GET /", Active: 2, Oldest: time.Now()})
	})
}

func record(s *runtimeinfo.Snapshot) map[string]any { return maps.Collect(exporters.FullRecord(s)) }

type panics struct{}

func (panics) LogValue() slog.Value { panic("LogValue panics") }

// loop is a LogValuer whose value contains itself twice.
type loop struct{}

func (l loop) LogValue() slog.Value { return slog.GroupValue(slog.Any("again", l), slog.Any("", l)) }

// The records of decoded events are equal to the records of the events.
func TestCodecEncodesEvents(t *testing.T) {
	e := exporttest.Event()
	unusual := e
	unusual.Name, unusual.Message = "\xff", ""
	unusual.Attrs = []slog.Attr{
		slog.Float64("nan", math.NaN()), slog.Float64("inf", math.Inf(-1)), slog.Int64("least", math.MinInt64),
		slog.Uint64("most", math.MaxUint64), slog.Any("nil", nil), slog.Any("bytes", []byte{0, 0xff}), slog.Any("error", errors.New("oh")),
		slog.Any("complex", complex(1, math.NaN())), slog.Time("no_time", time.Time{}),
		slog.Time("zoned", time.Date(2026, 1, 2, 3, 4, 5, 6, time.FixedZone("somewhere", 5400))),
		slog.GroupAttrs("group", slog.GroupAttrs("empty"), slog.GroupAttrs("", slog.Bool("inline", true))),
		slog.Bool("twice", true), slog.String("twice", "yes"), slog.String("", "no key"),
		{},
		slog.Any("loop", loop{}),
	}
	unusual.Spans = []runtimeinfo.Span{{}, {Name: "future", Start: e.Time.Add(time.Hour)}}
	timeless := runtimeinfo.Event{Name: "timeless", Attrs: []slog.Attr{slog.Any("valuer", panics{})}}
	s := exporttest.Snapshot().WithEvents([]runtimeinfo.Event{e, unusual, timeless})
	got := roundTrip(t, s)
	samePoints(t, got, s)
	if len(got.Events) != 3 || !got.Events[2].Time.IsZero() || !got.Time.Equal(s.Time) {
		t.Fatalf("events %+v", got.Events)
	}
	if v := got.Events[2].Attrs[0].Value.String(); !strings.Contains(v, "LogValue panicked") {
		t.Errorf("a value that panics is decoded as %q", v)
	}
	for i := range s.Events[:2] {
		g, w := maps.Collect(exporters.EventRecord(got, &got.Events[i])), maps.Collect(exporters.EventRecord(s, &s.Events[i]))
		if !maps.EqualFunc(g, w, reflect.DeepEqual) {
			t.Errorf("event %d\n got %v\nwant %v", i, g, w)
		}
	}
}

func TestCodecLimitsSizes(t *testing.T) {
	long := strings.Repeat("é", 1<<20)
	s := exporttest.Snapshot()
	e := exporttest.Event()
	e.Message = long
	got := roundTrip(t, s.WithEvents([]runtimeinfo.Event{e})).Events[0].Message
	if len(got) != codec.MaxEncodedText || !strings.HasSuffix(got, "…(cut)") {
		t.Errorf("a string of 2 MiB is decoded as %d bytes …%q", len(got), got[len(got)-12:])
	}
	e.Message = "x" + long // the limit is inside a character
	if got := roundTrip(t, s.WithEvents([]runtimeinfo.Event{e})).Events[0].Message; !utf8.ValidString(got) || !strings.HasSuffix(got, "é…(cut)") {
		t.Errorf("truncated inside a character: …%q", got[len(got)-12:])
	}
	for range 40 {
		e.Attrs = append(e.Attrs, slog.String("long", long))
	}
	if n := codec.EncodedSize(&e); n < 40*codec.MaxEncodedText {
		t.Errorf("the event takes %d bytes", n)
	}
	var enc codec.Encoder
	before := []byte("before")
	for name, s := range map[string]*runtimeinfo.Snapshot{
		"events": s.WithEvents(slices.Repeat([]runtimeinfo.Event{e}, 10)),
		"values": {Resource: slices.Repeat([]runtimeinfo.Attr{{Key: long, Value: long}}, 10)},
	} {
		if b, err := enc.Append(before, s); !errors.Is(err, codec.ErrTooLarge) || string(b) != "before" {
			t.Errorf("too many %s: %d bytes, %v", name, len(b), err)
		}
	}
}

// Other metrics result in another schema. A record cannot be decoded without its schema.
func TestDecodeNeedsTheSchema(t *testing.T) {
	var enc codec.Encoder
	var dec codec.Decoder
	var last codec.SchemaID
	for _, s := range []*runtimeinfo.Snapshot{live(t), exporttest.Snapshot()} {
		b, err := enc.Append(nil, s)
		if err != nil {
			t.Fatal(err)
		}
		id, schema := enc.Schema()
		if id == last {
			t.Error("the schema is the same for other metrics")
		}
		last = id
		if _, err := dec.Decode(b); !errors.Is(err, codec.ErrUnknownSchema) {
			t.Errorf("before the schema is known: %v", err)
		}
		if _, err := dec.Learn(schema); err != nil {
			t.Fatal(err)
		}
		if _, err := dec.Decode(b); err != nil {
			t.Error(err)
		}
		dec.Forget(id)
		if _, err := dec.Decode(b); !errors.Is(err, codec.ErrUnknownSchema) {
			t.Errorf("after Forget: %v", err)
		}
		if _, err := dec.Learn(append([]byte{99}, schema[1:]...)); !errors.Is(err, codec.ErrMalformed) {
			t.Errorf("a schema of a later version: %v", err)
		}
		if _, err := codec.SchemaOf(nil); !errors.Is(err, codec.ErrMalformed) {
			t.Errorf("no record: %v", err)
		}
	}
}

// FuzzDecode checks that decoding terminates without a panic for any input.
func FuzzDecode(f *testing.F) {
	var enc codec.Encoder
	s := exporttest.Snapshot().WithEvents([]runtimeinfo.Event{exporttest.Event()})
	s.SpanGroups, s.Bands = []runtimeinfo.SpanGroup{{Name: "g"}}, []runtimeinfo.Band{{Signal: "b"}}
	record, err := enc.Append(nil, s)
	if err != nil {
		f.Fatal(err)
	}
	_, schema := enc.Schema()
	schema = slices.Clone(schema)
	f.Add(schema, record)
	f.Add(schema[:len(schema)/2], record[:len(record)/2])
	f.Fuzz(func(t *testing.T, schema, record []byte) {
		var dec codec.Decoder
		id, err := dec.Learn(schema)
		if err != nil {
			if !errors.Is(err, codec.ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		if len(record) >= 9 { // otherwise the schema would be unknown
			for i := range 8 {
				record[1+i] = byte(id >> (8 * i))
			}
		}
		s, err := dec.Decode(record)
		if err != nil {
			if !errors.Is(err, codec.ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		// The decoded snapshot can be exported and encoded.
		for range exporters.FullRecord(s) {
		}
		for i := range s.Events {
			for range exporters.EventRecord(s, &s.Events[i]) {
			}
		}
		var enc codec.Encoder
		b, err := enc.Append(nil, s)
		if err != nil {
			t.Fatal(err)
		}
		_, again := enc.Schema()
		if _, err := dec.Learn(again); err != nil {
			t.Fatal(err)
		}
		if _, err := dec.Decode(b); err != nil {
			t.Fatal(err)
		}
	})
}

// Decode does not allocate memory for the claimed length of a list that is longer than the input, at any
// position of a record.
func TestDecodeStopsAtTheFirstError(t *testing.T) {
	var enc codec.Encoder
	var dec codec.Decoder
	record, err := enc.Append(nil, exporttest.Snapshot())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := dec.Learn(second(enc.Schema())); err != nil {
		t.Fatal(err)
	}
	garbage := bytes.Repeat([]byte{0xff}, 64<<10)
	for i := 9; i < len(record); i++ {
		damaged := append(binary.AppendUvarint(slices.Clone(record[:i]), uint64(len(garbage)/3)), garbage...)
		if n := testing.AllocsPerRun(1, func() { _, _ = dec.Decode(damaged) }); n > 1000 {
			t.Errorf("damaged at byte %d: %v allocations before the error", i, n)
		}
	}
}

func second[T, U any](_ T, u U) U { return u }

func TestAppendDoesNotAllocate(t *testing.T) {
	if testutil.RaceEnabled {
		t.Skip("the race detector allocates")
	}
	var enc codec.Encoder
	s := live(t)
	b := make([]byte, 0, 64<<10)
	if n := testing.AllocsPerRun(100, func() { b, _ = enc.Append(b[:0], s) }); n > 0 {
		t.Errorf("%v allocations for a snapshot without events, want none", n)
	}
}

func BenchmarkCodec(b *testing.B) {
	s := live(b)
	var enc codec.Encoder
	record, err := enc.Append(nil, s)
	if err != nil {
		b.Fatal(err)
	}
	_, schema := enc.Schema()
	b.Run("append", func(b *testing.B) {
		b.ReportAllocs()
		buf := make([]byte, 0, 64<<10)
		for b.Loop() {
			buf, _ = enc.Append(buf[:0], s)
		}
		b.ReportMetric(float64(len(buf)), "B/record")
		b.ReportMetric(float64(len(schema)), "B/schema")
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		var dec codec.Decoder
		if _, err := dec.Learn(schema); err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if _, err := dec.Decode(record); err != nil {
				b.Fatal(err)
			}
		}
	})
}
