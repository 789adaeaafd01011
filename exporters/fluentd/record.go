// SPDX-License-Identifier: Apache-2.0

package fluentd

import (
	"encoding/binary"
	"iter"
	"maps"

	"github.com/tinylib/msgp/msgp"

	"github.com/gmpulse/gmpulse/internal/units"
)

// Limits of a record, in bytes.
const (
	maxRecord = 1 << 20               // encoded; Fluent Bit resets the connection above 6 MB
	maxText   = 32_766 - len(cutMark) // of one string; Lucene rejects keywords above 32,766
	maxKey    = 256 - len(cutMark)    // of one key
	cutMark   = "…"                   // ends a string that was cut, see units.Shorten
)

// encode returns fields, which are a record of package exporters, as a msgpack map. Package
// exporters repairs invalid text and omits numbers that are not finite: with one of them,
// Fluentd's JSON formatter would reset the connection at every attempt to send the record. If a
// key occurs twice, the first value counts.
func encode(fields iter.Seq2[string, any]) encoder {
	e := encoder{body: make([]byte, 0, 8<<10)}
	e.fields(fields)
	return e
}

type encoder struct {
	body             msgp.Raw
	omitted, altered uint64
}

func (e *encoder) fields(fields iter.Seq2[string, any]) {
	e.body = append(e.body, 0xdf, 0, 0, 0, 0) // map32; the number of entries is set below
	header := len(e.body) - 4
	seen := map[string]bool{}
	for key, v := range fields {
		if key = e.cut(key, maxKey); seen[key] {
			e.omitted++
			continue
		}
		seen[key] = true
		e.body = msgp.AppendString(e.body, key)
		e.value(v)
	}
	binary.BigEndian.PutUint32(e.body[header:], uint32(len(seen)))
}

func (e *encoder) value(v any) {
	switch v := v.(type) {
	case string:
		e.body = msgp.AppendString(e.body, e.cut(v, maxText))
	case map[string]any:
		e.fields(maps.All(v))
	case []any:
		e.body = msgp.AppendArrayHeader(e.body, uint32(len(v)))
		for _, x := range v {
			e.value(x)
		}
	default:
		b, err := msgp.AppendIntf(e.body, v)
		if err != nil {
			b = msgp.AppendNil(e.body) // package exporters has no such types
		}
		e.body = b
	}
}

// cut returns s, or its beginning if it is longer than limit.
func (e *encoder) cut(s string, limit int) string {
	if len(s) > limit {
		e.altered++
	}
	return units.Shorten(s, limit)
}
