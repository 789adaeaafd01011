package fluentd

import (
	"encoding/binary"
	"fmt"
	"iter"
	"maps"
	"math"
	"reflect"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tinylib/msgp/msgp"
)

// What a record may hold at most.
const (
	maxRecord = 1 << 20      // bytes encoded; Fluent Bit resets the connection above 6 MB
	maxText   = 32 << 10     // bytes of one string: Lucene refuses keywords above 32,766
	maxKey    = 256          // bytes of one key
	maxDepth  = 16           // maps and slices within each other; EventRecord keeps to ten
	cutMark   = "…(cut)"     // ends a string that was longer
	deepMark  = "(too deep)" // stands for what is nested deeper
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
	e := encoder{b: make([]byte, 0, max(size+size/8, 512))}
	e.fields(fields, make(map[string]struct{}, size/64), 0)
	return encoded{body: e.b, omitted: e.omitted, altered: e.altered, tooLarge: e.full()}
}

type encoder struct {
	b                []byte
	omitted, altered uint64
}

// full ends the work on a record that is refused anyway.
func (e *encoder) full() bool { return len(e.b) > maxRecord }

// fields appends a map. seen is empty, or nil where no key can come twice: most
// maps are small, and a set for each would be a third of the whole cost.
func (e *encoder) fields(fields iter.Seq2[string, any], seen map[string]struct{}, depth int) {
	mark := len(e.b)
	e.b = append(e.b, 0xdf, 0, 0, 0, 0) // map32: the number of keys is known at the end
	var kept uint32
	for key, v := range fields {
		key = e.clean(key, maxKey)
		if _, dup := seen[key]; dup {
			e.omitted++
			continue
		}
		start := len(e.b)
		e.b = msgp.AppendString(e.b, key)
		if !e.value(v, depth+1) {
			e.b = e.b[:start]
			e.omitted++
			continue
		}
		if seen != nil {
			seen[key] = struct{}{}
		}
		kept++
		if e.full() {
			return
		}
	}
	binary.BigEndian.PutUint32(e.b[mark+1:], kept)
}

func (e *encoder) list(n int, at func(int) any, depth int) {
	mark := len(e.b)
	e.b = append(e.b, 0xdd, 0, 0, 0, 0) // array32, likewise
	var kept uint32
	for i := range n {
		if !e.value(at(i), depth+1) {
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
			e.fields(maps.All(v), collisions(v), depth)
		}
	case []any:
		if !e.tooDeep(depth) {
			e.list(len(v), func(i int) any { return v[i] }, depth)
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
			e.list(v.Len(), func(i int) any { return v.Index(i).Interface() }, depth)
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

// collisions returns a set for the keys of m, or nil if they stay as they are
// and so cannot become the same.
func collisions(m map[string]any) map[string]struct{} {
	for key := range m {
		if !fits(key, maxKey) {
			return make(map[string]struct{}, len(m))
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
