// SPDX-License-Identifier: Apache-2.0

package fluentd

import (
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
	"unicode/utf8"

	"github.com/tinylib/msgp/msgp"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/exporttest"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

type (
	named  string
	number int16
	silent struct{ A int }
)

type panics struct{}

func (panics) String() string { panic("no") }

func one(v any) iter.Seq2[string, any] { return maps.All(map[string]any{"k": v}) }

// decodeRecord fails unless r is one map and nothing behind it.
func decodeRecord(t *testing.T, r encoded) map[string]any {
	t.Helper()
	m, rest, err := msgp.ReadMapStrIntfBytes(r.body, nil)
	if err != nil || len(rest) > 0 {
		t.Fatalf("not one map: %v, %d bytes behind it", err, len(rest))
	}
	return m
}

func TestEncodeValues(t *testing.T) {
	loop := map[string]any{}
	loop["loop"] = loop
	text := "x"
	for name, test := range map[string]struct {
		in, want         any // want nil: left out
		omitted, altered uint64
	}{
		"bool":           {in: true, want: true},
		"string":         {in: "grüße\x00\n", want: "grüße\x00\n"},
		"float":          {in: -1.5, want: -1.5},
		"whole float":    {in: 5.0, want: 5.0},
		"max uint64":     {in: uint64(math.MaxUint64), want: uint64(math.MaxUint64)},
		"min int64":      {in: int64(math.MinInt64), want: int64(math.MinInt64)},
		"int":            {in: 7, want: int64(7)},
		"named number":   {in: number(-7), want: int64(-7)},
		"named string":   {in: named("n"), want: "n"},
		"month":          {in: time.May, want: "May", altered: 1},
		"float32":        {in: float32(0.5), want: 0.5},
		"uint8":          {in: uint8(200), want: uint64(200)},
		"duration":       {in: 1500 * time.Millisecond, want: 1.5},
		"time":           {in: time.Unix(1, 5).UTC(), want: "1970-01-01T00:00:01.000000005Z", altered: 1},
		"nil":            {in: nil, omitted: 1},
		"nil pointer":    {in: (*int)(nil), omitted: 1},
		"pointer":        {in: &text, want: "x"},
		"NaN":            {in: math.NaN(), omitted: 1},
		"Inf":            {in: math.Inf(-1), omitted: 1},
		"float32 NaN":    {in: float32(math.NaN()), omitted: 1},
		"broken string":  {in: "a\xff\xfeb", want: "a\uFFFDb", altered: 1},
		"bytes":          {in: []byte("a\xff"), want: "a\uFFFD", altered: 1},
		"error":          {in: errors.New("e"), want: "e", altered: 1},
		"struct":         {in: silent{1}, want: "(fluentd.silent)", altered: 1},
		"func":           {in: func() {}, want: "(func())", altered: 1},
		"complex":        {in: 1i, want: "(complex128)", altered: 1},
		"map of ints":    {in: map[int]int{1: 1}, want: "(map[int]int)", altered: 1},
		"panicking":      {in: panics{}, want: "(fluentd.panics)", altered: 1},
		"nil stringer":   {in: (*slog.LevelVar)(nil), want: "(*slog.LevelVar)", altered: 1},
		"list":           {in: []any{1.5, nil, "a", math.NaN()}, want: []any{1.5, "a"}, omitted: 2},
		"typed list":     {in: [2]int{1, 2}, want: []any{int64(1), int64(2)}},
		"empty list":     {in: []string{}, want: []any{}},
		"map":            {in: map[string]any{"a": 1.5, "b": nil}, want: map[string]any{"a": 1.5}, omitted: 1},
		"typed map":      {in: map[named]bool{"a": true}, want: map[string]any{"a": true}},
		"broken key":     {in: map[string]any{"\xff": true}, want: map[string]any{"\uFFFD": true}, altered: 1},
		"colliding keys": {in: map[string]any{"\xff": true, "\xfe": true}, want: map[string]any{"\uFFFD": true}, omitted: 1, altered: 2},
		"long key":       {in: map[string]any{strings.Repeat("k", 300): true}, want: map[string]any{strings.Repeat("k", 248) + "…(cut)": true}, altered: 1},
		"all broken":     {in: strings.Repeat("\xff", 40_000), want: "\uFFFD…(cut)", altered: 1},
		"just fits":      {in: strings.Repeat("x", 32<<10), want: strings.Repeat("x", 32<<10)},
		"just does not":  {in: strings.Repeat("x", 32<<10+1), want: strings.Repeat("x", 32<<10-8) + "…(cut)", altered: 1},
		"cut in a rune":  {in: "x" + strings.Repeat("é", 20_000), want: "x" + strings.Repeat("é", 16379) + "…(cut)", altered: 1},
		"within itself":  {in: loop, want: nest(map[string]any{}, maxDepth), altered: 1},
		"list in itself": {in: deep(40), want: deepText(maxDepth), altered: 1},
	} {
		t.Run(name, func(t *testing.T) {
			r := encode(one(test.in), 0)
			want := map[string]any{}
			if test.want != nil {
				want["k"] = test.want
			}
			if got := decodeRecord(t, r); !reflect.DeepEqual(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
			if r.omitted != test.omitted || r.altered != test.altered || r.tooLarge {
				t.Errorf("omitted %d, altered %d, too large %v; want %d, %d", r.omitted, r.altered, r.tooLarge, test.omitted, test.altered)
			}
		})
	}
}

// nest is what is left of a map within itself.
func nest(m map[string]any, n int) map[string]any {
	if n == 1 {
		return map[string]any{"loop": deepMark}
	}
	m["loop"] = nest(map[string]any{}, n-1)
	return m
}

func deep(n int) any {
	if n == 0 {
		return true
	}
	return []any{deep(n - 1)}
}

func deepText(n int) any {
	if n == 0 {
		return deepMark
	}
	return []any{deepText(n - 1)}
}

func TestEncodeRefusesTheLarge(t *testing.T) {
	const n = maxRecord/(maxText+3) + 1
	list := make([]any, n)
	for i := range list {
		list[i] = strings.Repeat("x", maxText)
	}
	if r := encode(one(list), 0); !r.tooLarge {
		t.Errorf("%d bytes pass", len(r.body))
	}
	if r := encode(one(list[:n-2]), 0); r.tooLarge {
		t.Errorf("%d bytes do not pass", len(r.body))
	}
	// The work is bounded too: these would be 10^16 values.
	var lists, tree any = true, true
	for range 4 {
		l, m := make([]any, 10_000), map[string]any{}
		for i := range l {
			l[i] = lists
			m[strconv.Itoa(i)] = tree
		}
		lists, tree = l, m
	}
	for _, endless := range []any{lists, tree} {
		if r := encode(one(endless), 0); !r.tooLarge || len(r.body) > maxRecord+100 {
			t.Errorf("%d bytes pass", len(r.body))
		}
	}
}

func TestSafely(t *testing.T) {
	err := safely(func() error { panic("boom") })
	if err == nil || !strings.Contains(err.Error(), "panicked: boom") {
		t.Errorf("safely: %v", err)
	}
	if err := safely(func() error { return nil }); err != nil {
		t.Errorf("safely: %v", err)
	}
}

func FuzzSanitize(f *testing.F) {
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
		r := encode(fields, 0)
		if r.tooLarge {
			if len(r.body) <= maxRecord {
				t.Errorf("%d bytes are too large", len(r.body))
			}
			return
		}
		allowed(t, decodeRecord(t, r), 0)
	})
}

// allowed fails on what a record must not hold.
func allowed(t *testing.T, v any, depth int) {
	t.Helper()
	switch v := v.(type) {
	case bool, int64, uint64:
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			t.Error(v)
		}
	case string:
		allowedText(t, v, maxText)
	case []any:
		for _, e := range v {
			allowed(t, e, depth+1)
		}
	case map[string]any:
		for k, e := range v {
			allowedText(t, k, maxKey)
			allowed(t, e, depth+1)
		}
	default:
		t.Errorf("%T", v)
	}
	if depth > maxDepth+2 {
		t.Error("too deep")
	}
}

func allowedText(t *testing.T, s string, limit int) {
	t.Helper()
	if len(s) > limit || !utf8.ValidString(s) {
		t.Errorf("%d bytes of text, valid: %v", len(s), utf8.ValidString(s))
	}
}

// generator makes values of bytes.
type generator struct{ data []byte }

const kinds = 26

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
	return strings.Repeat(s, 1+int(g.next())*int(g.next()%16))
}

func (g *generator) bits() (n uint64) {
	for range 8 {
		n = n<<8 | uint64(g.next())
	}
	return n
}

func (g *generator) value(depth int) any {
	simple := []func() any{
		func() any { return nil },
		func() any { return g.next() > 127 },
		func() any { return g.text() },
		func() any { return g.bits() },
		func() any { return int64(g.bits()) },
		func() any { return math.Float64frombits(g.bits()) },
		func() any { return math.Float32frombits(uint32(g.bits())) },
		func() any { return math.NaN() },
		func() any { return math.Inf(1) },
		func() any { return int8(g.next()) },
		func() any { return number(g.next()) },
		func() any { return named(g.text()) },
		func() any { return []byte(g.text()) },
		func() any { return time.Unix(int64(g.bits()), 0) },
		func() any { return time.Duration(g.bits()) },
		func() any { return errors.New(g.text()) },
		func() any { return panics{} },
		func() any { return silent{} },
		func() any { return complex(1, 1) },
		func() any { return (*silent)(nil) },
		func() any { return map[int]string{1: g.text()} },
		func() any { return slog.StringValue(g.text()) },
	}
	nested := []func() any{
		func() any { return []any{g.value(depth + 1), g.value(depth + 1)} },
		func() any { return map[string]any{g.text(): g.value(depth + 1), g.text(): g.value(depth + 1)} },
		func() any { v := g.value(depth + 1); return &v },
		func() any { return map[named][]float64{named(g.text()): {math.NaN(), float64(g.next())}} },
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

// What Record yields arrives as it is: nothing is lost on valid input.
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
			got := decodeRecord(t, encode(fields, 0))
			allowed(t, got, 0)
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
			var r encoded
			for b.Loop() {
				r = encode(fields, len(r.body))
			}
			b.ReportMetric(float64(len(r.body)), "B/record")
		})
	}
}
