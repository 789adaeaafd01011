// SPDX-License-Identifier: Apache-2.0

package fluentd

import (
	"encoding/binary"
	"fmt"
	"iter"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tinylib/msgp/msgp"

	"github.com/gmpulse/gmpulse/exporters/internal/flat"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// What a record may hold at most.
const (
	maxRecord  = 1 << 20      // bytes encoded; Fluent Bit resets the connection above 6 MB
	maxText    = 32 << 10     // bytes of one string: Lucene refuses keywords above 32,766
	maxKey     = 256          // bytes of one key
	maxScratch = 256 << 10    // bytes of memory kept for the next record
	maxDepth   = 16           // maps and slices within each other; EventRecord keeps to ten
	cutMark    = "…(cut)"     // ends a string that was longer
	deepMark   = "(too deep)" // stands for what is nested deeper
)

// body is an encoded record. The library sees a Marshaler and copies it as it is.
type body []byte

// MarshalMsg implements msgp.Marshaler.
func (b body) MarshalMsg(to []byte) ([]byte, error) { return append(to, b...), nil }

// Msgsize implements msgp.Sizer, which spares the library growing its buffer.
func (b body) Msgsize() int { return len(b) }

type encoded struct {
	body             body
	omitted, altered uint64
	tooLarge         bool // body is incomplete
}

// encode makes one msgpack map of fields. Its values are bool, integers, finite
// floats, valid UTF-8 strings, maps with string keys and slices of these,
// whatever fields holds: one NaN or broken string makes Fluentd's JSON formatter
// reset the connection, and the next attempt, for ever. What has no such form is
// left out (NaN, infinities, nil) or turned into text, and counted. Of several
// values of a key the first stays. size is a guess at the encoded size.
func encode(fields iter.Seq2[string, any], size int) encoded {
	e := encoder{b: make([]byte, 0, max(size+size/8, 512)), seen: make(map[string]struct{}, size/64)}
	appendMap(&e, fields, e.seen, func(v any) bool { return e.value(v, 1) })
	return e.end()
}

// encodeSnapshot makes the record of a snapshot, as encode makes it of
// exporters.Record. It takes its memory from e, and allocates for keys only.
func encodeSnapshot(e *encoder, s *runtimeinfo.Snapshot) encoded {
	if e.seen == nil {
		e.seen = map[string]struct{}{}
	}
	clear(e.seen)
	e.b, e.omitted, e.altered = e.b[:0], 0, 0
	appendMap(e, flat.Snapshot(s), e.seen, func(v flat.Value) bool { return e.flat(&v, s.Time) })
	return e.end()
}

type encoder struct {
	b                []byte
	seen             map[string]struct{} // keys of the outermost map
	nest             []flat.Field        // memory of a map within
	omitted, altered uint64
}

func (e *encoder) end() encoded {
	return encoded{body: e.b, omitted: e.omitted, altered: e.altered, tooLarge: e.full()}
}

// full ends the work on a record that is refused anyway.
func (e *encoder) full() bool { return len(e.b) > maxRecord }

// appendMap appends a map, each of its values with put, which tells whether it has
// a form. seen is empty, or nil where no key can come twice: most maps are small,
// and a set for each would be a third of the whole cost.
func appendMap[V any](e *encoder, fields iter.Seq2[string, V], seen map[string]struct{}, put func(V) bool) {
	mark := e.openMap()
	var kept uint32
	for key, v := range fields {
		if !e.entry(key, seen, func() bool { return put(v) }) {
			continue
		}
		kept++
		if e.full() {
			return
		}
	}
	binary.BigEndian.PutUint32(e.b[mark:], kept)
}

// openMap begins a map and returns where the number of its keys belongs, which is
// known at the end.
func (e *encoder) openMap() (mark int) {
	e.b = append(e.b, 0xdf, 0, 0, 0, 0) // map32
	return len(e.b) - 4
}

// entry appends a key and its value with put. It is false, and nothing is appended,
// where the key was seen or the value has no form.
func (e *encoder) entry(key string, seen map[string]struct{}, put func() bool) bool {
	start := len(e.b)
	key, ok := e.key(key, seen)
	if !ok || !put() {
		e.b = e.b[:start]
		e.omitted++
		return false
	}
	if seen != nil {
		seen[key] = struct{}{}
	}
	return true
}

// key appends a key, unless that was seen, and returns it as it is in the record.
func (e *encoder) key(key string, seen map[string]struct{}) (_ string, ok bool) {
	key = e.clean(key, maxKey)
	if _, dup := seen[key]; dup {
		return key, false
	}
	e.b = msgp.AppendString(e.b, key)
	return key, true
}

// list appends the values of a list, each with put.
func (e *encoder) list(n int, put func(int) bool) {
	mark := len(e.b)
	e.b = append(e.b, 0xdd, 0, 0, 0, 0) // array32, likewise
	var kept uint32
	for i := range n {
		if !put(i) {
			e.omitted++
			continue
		}
		kept++
		if e.full() {
			return
		}
	}
	binary.BigEndian.PutUint32(e.b[mark+1:], kept)
}

// fields appends a map of anything.
func (e *encoder) fields(fields iter.Seq2[string, any], seen map[string]struct{}, depth int) {
	appendMap(e, fields, seen, func(v any) bool { return e.value(v, depth+1) })
}

// flat appends a value of a snapshot's record.
func (e *encoder) flat(v *flat.Value, at time.Time) bool {
	switch v.Kind {
	case flat.Text:
		e.b = msgp.AppendString(e.b, e.clean(v.Text, maxText))
	case flat.Uint:
		e.b = msgp.AppendUint64(e.b, v.Uint)
	case flat.Number:
		return e.float(v.Number)
	case flat.Series:
		e.list(len(v.Series), func(i int) bool { return e.nested(flat.Labelled(e.nest[:0], &v.Series[i])) })
	case flat.Spans:
		e.list(len(v.Spans), func(i int) bool { return e.nested(flat.Span(e.nest[:0], &v.Spans[i], at)) })
	default:
		return false
	}
	return true
}

// nested appends a map of values that are no lists.
func (e *encoder) nested(fields []flat.Field) bool {
	e.nest = fields
	mark := e.openMap()
	var kept uint32
	var seen map[string]struct{}
	if slices.ContainsFunc(fields, func(f flat.Field) bool { return !fits(f.Key, maxKey) }) {
		seen = map[string]struct{}{}
	}
	for i := range fields {
		if e.entry(fields[i].Key, seen, func() bool { return e.flat(&fields[i].Value, time.Time{}) }) {
			kept++
		}
	}
	binary.BigEndian.PutUint32(e.b[mark:], kept)
	return true
}

// value appends v, or reports that it has no form.
func (e *encoder) value(v any, depth int) bool {
	switch v := v.(type) {
	case nil:
		return false
	case float64:
		return e.float(v)
	case string:
		e.b = msgp.AppendString(e.b, e.clean(v, maxText))
	case uint64:
		e.b = msgp.AppendUint64(e.b, v)
	case int64:
		e.b = msgp.AppendInt64(e.b, v)
	case bool:
		e.b = msgp.AppendBool(e.b, v)
	case map[string]any:
		if !e.tooDeep(depth) {
			e.fields(maps.All(v), collisions(maps.All(v)), depth)
		}
	case []any:
		if !e.tooDeep(depth) {
			e.list(len(v), func(i int) bool { return e.value(v[i], depth+1) })
		}
	case time.Duration:
		return e.float(v.Seconds())
	case time.Time:
		e.text(v.Format(time.RFC3339Nano))
	case []byte:
		e.text(string(v[:min(len(v), maxText+1)]))
	case error:
		e.text(foreign(v, v.Error))
	case fmt.Stringer:
		e.text(foreign(v, v.String))
	default:
		return e.reflected(reflect.ValueOf(v), depth)
	}
	return true
}

// reflected appends values of the types that nobody should send.
func (e *encoder) reflected(v reflect.Value, depth int) bool {
	switch v.Kind() {
	case reflect.Bool:
		e.b = msgp.AppendBool(e.b, v.Bool())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		e.b = msgp.AppendInt64(e.b, v.Int())
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		e.b = msgp.AppendUint64(e.b, v.Uint())
	case reflect.Float32, reflect.Float64:
		return e.float(v.Float())
	case reflect.String:
		e.b = msgp.AppendString(e.b, e.clean(v.String(), maxText))
	case reflect.Slice, reflect.Array:
		if !e.tooDeep(depth) {
			e.list(v.Len(), func(i int) bool { return e.value(v.Index(i).Interface(), depth+1) })
		}
	case reflect.Pointer:
		if v.IsNil() {
			return false
		}
		return e.tooDeep(depth) || e.value(v.Elem().Interface(), depth+1)
	case reflect.Map:
		if v.Type().Key().Kind() != reflect.String {
			e.text(typeName(v))
			return true
		}
		if !e.tooDeep(depth) {
			e.fields(stringMap(v), map[string]struct{}{}, depth)
		}
	default: // structs, functions, channels, complex: printing them is not bounded
		e.text(typeName(v))
	}
	return true
}

func (e *encoder) float(f float64) bool {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return false
	}
	e.b = msgp.AppendFloat64(e.b, f)
	return true
}

// text appends the text that stands for a value of another type.
func (e *encoder) text(s string) {
	before := e.altered
	e.b = msgp.AppendString(e.b, e.clean(s, maxText))
	e.altered = before + 1
}

// tooDeep appends a mark in place of what is nested too deep, as a map within
// itself is.
func (e *encoder) tooDeep(depth int) bool {
	if depth <= maxDepth {
		return false
	}
	e.text(deepMark)
	return true
}

// clean returns s as valid UTF-8 of at most limit bytes.
func (e *encoder) clean(s string, limit int) string {
	if fits(s, limit) {
		return s
	}
	e.altered++
	cut := len(s) > limit
	s = strings.ToValidUTF8(s[:min(len(s), limit)], "\uFFFD")
	if !cut && len(s) <= limit {
		return s
	}
	end := min(len(s), limit-len(cutMark))
	for end < len(s) && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + cutMark
}

func fits(s string, limit int) bool { return len(s) <= limit && utf8.ValidString(s) }

// collisions returns a set for the keys of fields, or nil if they stay as they are
// and so cannot become the same.
func collisions[V any](fields iter.Seq2[string, V]) map[string]struct{} {
	for key := range fields {
		if !fits(key, maxKey) {
			return map[string]struct{}{}
		}
	}
	return nil
}

// foreign calls a method of a value that is not ours.
func foreign(v any, method func() string) (s string) {
	defer func() {
		if recover() != nil {
			s = typeName(reflect.ValueOf(v)) // a nil pointer, mostly
		}
	}()
	return method()
}

func typeName(v reflect.Value) string { return "(" + v.Type().String() + ")" }

func stringMap(m reflect.Value) iter.Seq2[string, any] {
	return func(yield func(string, any) bool) {
		for it := m.MapRange(); it.Next(); {
			if !yield(it.Key().String(), it.Value().Interface()) {
				return
			}
		}
	}
}
