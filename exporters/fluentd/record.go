// SPDX-License-Identifier: Apache-2.0

package fluentd

import (
	"encoding/binary"
	"iter"
	"maps"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/tinylib/msgp/msgp"
)

// Limits of a record.
const (
	maxRecord = 1 << 20  // bytes, encoded; Fluent Bit resets the connection above 6 MB
	maxText   = 32 << 10 // bytes of one string; Lucene rejects keywords above 32,766
	maxKey    = 256      // bytes of one key
	cutMark   = "…(cut)" // ends a string that was cut
)

// encode returns fields, which are a record of package exporters, as a msgpack map. One
// NaN or invalid string would make Fluentd's JSON formatter reset the connection at
// every attempt to send the record, so encode omits numbers that are not finite and
// values of unknown types, and repairs strings. If a key occurs twice, the first value
// counts.
func encode(fields iter.Seq2[string, any]) encoder {
	e := encoder{body: make([]byte, 0, 8<<10)}
	e.fields(fields)
	return e
}

type encoder struct {
	body             msgp.Raw
	omitted, altered uint64
}

// full reports whether the record is too large. The encoder stops then, and the body is incomplete.
func (e *encoder) full() bool { return len(e.body) > maxRecord }

func (e *encoder) fields(fields iter.Seq2[string, any]) {
	e.body = append(e.body, 0xdf, 0, 0, 0, 0) // map32; the number of entries is set below
	header := len(e.body) - 4
	seen := map[string]bool{}
	for key, v := range fields {
		start := len(e.body)
		key = e.clean(key, maxKey)
		e.body = msgp.AppendString(e.body, key)
		if seen[key] || !e.value(v) {
			e.body = e.body[:start]
			e.omitted++
			continue
		}
		seen[key] = true
		if e.full() {
			return
		}
	}
	binary.BigEndian.PutUint32(e.body[header:], uint32(len(seen)))
}

func (e *encoder) list(values []any) {
	e.body = append(e.body, 0xdd, 0, 0, 0, 0) // array32, likewise
	header := len(e.body) - 4
	var n uint32
	for _, v := range values {
		if !e.value(v) {
			e.omitted++
			continue
		}
		n++
		if e.full() {
			return
		}
	}
	binary.BigEndian.PutUint32(e.body[header:], n)
}

// value appends v and reports whether it did.
func (e *encoder) value(v any) bool {
	switch v := v.(type) {
	case string:
		e.body = msgp.AppendString(e.body, e.clean(v, maxText))
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return false
		}
		e.body = msgp.AppendFloat64(e.body, v)
	case uint64:
		e.body = msgp.AppendUint64(e.body, v)
	case bool:
		e.body = msgp.AppendBool(e.body, v)
	case map[string]any:
		e.fields(maps.All(v))
	case []any:
		e.list(v)
	default: // package exporters has no other types
		return false
	}
	return true
}

// clean returns s as valid UTF-8 of at most limit bytes.
func (e *encoder) clean(s string, limit int) string {
	if len(s) <= limit && utf8.ValidString(s) {
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
