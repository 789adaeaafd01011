// SPDX-License-Identifier: Apache-2.0

package fluentd

import (
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"math"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/tinylib/msgp/msgp"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/exporttest"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

func one(v any) iter.Seq2[string, any] { return maps.All(map[string]any{"k": v}) }

// decodeRecord decodes r. It fails unless r is exactly one map.
func decodeRecord(t *testing.T, r encoder) map[string]any {
	t.Helper()
	m, rest, err := msgp.ReadMapStrIntfBytes(r.body, nil)
	if err != nil || len(rest) > 0 {
		t.Fatalf("not one map: %v, %d bytes after it", err, len(rest))
	}
	return m
}

func TestEncodeValues(t *testing.T) {
	for name, test := range map[string]struct {
		in, want         any
		omitted, altered uint64
	}{
		"bool":            {in: true, want: true},
		"string":          {in: "grüße\x00\n", want: "grüße\x00\n"},
		"float":           {in: -1.5, want: -1.5},
		"whole float":     {in: 5.0, want: 5.0},
		"max uint64":      {in: uint64(math.MaxUint64), want: uint64(math.MaxUint64)},
		"list":            {in: []any{1.5, "a", []any{}}, want: []any{1.5, "a", []any{}}},
		"map":             {in: map[string]any{"a": 1.5}, want: map[string]any{"a": 1.5}},
		"long key":        {in: map[string]any{strings.Repeat("k", 300): true}, want: map[string]any{strings.Repeat("k", 253) + "…": true}, altered: 1},
		"colliding keys":  {in: map[string]any{strings.Repeat("k", 300): true, strings.Repeat("k", 301): true}, want: map[string]any{strings.Repeat("k", 253) + "…": true}, omitted: 1, altered: 2},
		"just fits":       {in: strings.Repeat("x", 32_763), want: strings.Repeat("x", 32_763)},
		"one byte longer": {in: strings.Repeat("x", 32_764), want: strings.Repeat("x", 32_763) + "…", altered: 1},
		"cut in a rune":   {in: strings.Repeat("é", 20_000), want: strings.Repeat("é", 16_381) + "…", altered: 1},
	} {
		t.Run(name, func(t *testing.T) {
			r := encode(one(test.in))
			if got := decodeRecord(t, r); !reflect.DeepEqual(got, map[string]any{"k": test.want}) {
				t.Errorf("got %v, want %v", got, test.want)
			}
			if r.omitted != test.omitted || r.altered != test.altered {
				t.Errorf("omitted %d, altered %d; want %d, %d", r.omitted, r.altered, test.omitted, test.altered)
			}
		})
	}
}

func TestEncodeKeepsTheFirstValue(t *testing.T) {
	r := encode(func(yield func(string, any) bool) { _ = yield("k", 1.5) && yield("k", 2.5) })
	if got := decodeRecord(t, r); !reflect.DeepEqual(got, map[string]any{"k": 1.5}) || r.omitted != 1 {
		t.Errorf("%v, %d omitted", got, r.omitted)
	}
}

func FuzzEncode(f *testing.F) {
	for i := range byte(kinds) {
		f.Add([]byte{i, 3, 'k', 0xff, 1, i, 2, i, i, 0x80, 9, 9, 9, 9, 9, 9, 9, 9})
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		g := &generator{data: data}
		fields := func(yield func(string, any) bool) {
			for len(g.data) > 0 {
				if !yield(g.text(), g.value(0)) {
					return
				}
			}
		}
		allowed(t, decodeRecord(t, encode(fields)))
	})
}

// allowed fails if v is not allowed in a record.
func allowed(t *testing.T, v any) {
	t.Helper()
	switch v := v.(type) {
	case bool, int64, uint64:
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			t.Error(v)
		}
	case string:
		allowedText(t, v, 32_766)
	case []any:
		for _, e := range v {
			allowed(t, e)
		}
	case map[string]any:
		for k, e := range v {
			allowedText(t, k, 256)
			allowed(t, e)
		}
	default:
		t.Errorf("%T", v)
	}
}

func allowedText(t *testing.T, s string, limit int) {
	t.Helper()
	if len(s) > limit || !utf8.ValidString(s) {
		t.Errorf("%d bytes of text, valid: %v", len(s), utf8.ValidString(s))
	}
}

// generator derives values of records from bytes.
type generator struct{ data []byte }

const kinds = 6

func (g *generator) next() byte {
	if len(g.data) == 0 {
		return 0
	}
	b := g.data[0]
	g.data = g.data[1:]
	return b
}

func (g *generator) text() string {
	n := min(int(g.next()), len(g.data))
	s := string(g.data[:n])
	g.data = g.data[n:]
	return strings.ToValidUTF8(strings.Repeat(s, 1+int(g.next())*int(g.next()%16)), "?")
}

func (g *generator) bits() (n uint64) {
	for range 8 {
		n = n<<8 | uint64(g.next())
	}
	return n
}

func (g *generator) value(depth int) any {
	simple := []func() any{
		func() any { return g.next() > 127 },
		func() any { return g.text() },
		func() any { return g.bits() },
		func() any { return float64(g.bits()) / 3 },
	}
	nested := []func() any{
		func() any { return []any{g.value(depth + 1), g.value(depth + 1)} },
		func() any { return map[string]any{g.text(): g.value(depth + 1), g.text(): g.value(depth + 1)} },
	}
	i := int(g.next()) % kinds
	if i < len(simple) {
		return simple[i]()
	}
	if depth > 40 {
		return true
	}
	return nested[i-len(simple)]()
}

// FuzzRecord encodes records of package exporters: nothing is lost on valid input.
func FuzzRecord(f *testing.F) {
	f.Add("GET /", "message", 1.5, int64(-1), uint64(1))
	f.Add("\xff\x00", "", math.NaN(), int64(math.MaxInt64), uint64(math.MaxUint64))
	f.Add("seq", strings.Repeat("é", 20_000), math.Inf(1), int64(0), uint64(0))
	f.Fuzz(func(t *testing.T, name, message string, number float64, n int64, seq uint64) {
		s := exporttest.Snapshot()
		s.Seq = seq
		s.Resource = append(s.Resource, runtimeinfo.Attr{Key: name, Value: message})
		s.Spans[0].Name = name
		ev := exporttest.Event()
		ev.Name, ev.Message = name, message
		ev.Attrs = append(ev.Attrs, slog.Float64("f", number), slog.Int64("i", n), slog.String(name, message))
		for _, fields := range []iter.Seq2[string, any]{exporters.Record(s), exporters.EventRecord(s, &ev)} {
			got := decodeRecord(t, encode(fields))
			allowed(t, got)
			want := maps.Collect(fields)
			plain := len(name) < maxKey/2 && len(message) <= maxText && utf8.ValidString(name) && utf8.ValidString(message)
			if _, twice := map[string]any{"service.name": 0, "service.version": 0, "service.instance.id": 0}[name]; twice || !plain {
				continue
			}
			if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
				t.Errorf("got  %s\nwant %s", g, w)
			}
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	s := exporttest.Snapshot().WithEvents([]runtimeinfo.Event{exporttest.Event()})
	for name, fields := range map[string]iter.Seq2[string, any]{
		"record": exporters.Record(s), "event": exporters.EventRecord(s, &s.Events[0]),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var r encoder
			for b.Loop() {
				r = encode(fields)
			}
			b.ReportMetric(float64(len(r.body)), "B/record")
		})
	}
}
