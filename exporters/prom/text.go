// SPDX-License-Identifier: Apache-2.0

package prom

import (
	"bytes"
	"encoding/hex"
	"math"
	"strconv"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// text renders values as client_golang's encoder does, to the byte: a scrape by
// way of its data model costs twenty times as much, most of it for some 2,400
// allocations. TestTextIsClientGolangs compares the two.
type text struct {
	syntax syntax
	out    []byte
	bound  []byte // scratch
}

// append renders values, of which those of one family are neighbours.
func (t *text) append(values []value) {
	family := -1
	for i := range values {
		v := &values[i]
		if v.form.family != family {
			family = v.form.family
			t.out = append(t.out, v.form.head[t.syntax]...)
		}
		switch {
		case v.Histogram != nil:
			t.histogram(v)
		case v.form.plain != "":
			t.out = append(t.out, v.form.plain...)
			t.number(v.Number, v.Exemplar)
		default:
			t.sample(v, "", nil)
			t.number(v.Number, v.Exemplar)
		}
	}
}

func (t *text) histogram(v *value) {
	h := v.Histogram
	var n uint64
	for i, count := range h.Counts {
		n += count
		bound := math.Inf(1)
		if i < len(h.Bounds) {
			bound = h.Bounds[i]
		}
		t.bound = t.appendFloat(t.bound[:0], bound)
		t.sample(v, "_bucket", t.bound)
		t.count(n, exemplarOf(h, i))
	}
	t.sample(v, "_sum", nil)
	t.number(h.Sum, nil)
	t.sample(v, "_count", nil)
	t.count(n, nil)
}

// sample appends a line up to its number.
func (t *text) sample(v *value, suffix string, bound []byte) {
	t.out = append(v.form.appendName(t.out, suffix, v.Labels, bound), ' ')
}

func (t *text) number(v float64, x *runtimeinfo.Exemplar) {
	t.out = t.appendFloat(t.out, v)
	t.end(x)
}

// count appends a count, which is a number like any other in the classic syntax.
func (t *text) count(n uint64, x *runtimeinfo.Exemplar) {
	if t.syntax == classic {
		t.number(float64(n), nil)
		return
	}
	t.out = strconv.AppendUint(t.out, n, 10)
	t.end(x)
}

// end ends a line, with its exemplar in the syntax that has them.
func (t *text) end(x *runtimeinfo.Exemplar) {
	if x != nil && t.syntax == openMetrics {
		t.out = append(t.out, ` # {trace_id="`...)
		t.out = hex.AppendEncode(t.out, x.TraceID[:])
		t.out = append(t.out, `",span_id="`...)
		t.out = hex.AppendEncode(t.out, x.SpanID[:])
		t.out = append(t.out, `",`+runtimeinfo.ExemplarRelationKey+`="`+runtimeinfo.ExemplarRelation+`"} `...)
		t.out = append(t.appendFloat(t.out, x.Value), ' ')
		t.out = t.appendFloat(t.out, float64(x.Time.UnixNano())/1e9)
	}
	t.out = append(t.out, '\n')
}

// appendFloat appends the shortest text of v, which in OpenMetrics has a point
// or an exponent.
func (t *text) appendFloat(b []byte, v float64) []byte {
	const exponents = 1e6 // from here on they are shorter
	start := len(b)
	switch {
	case math.IsInf(v, 1):
		return append(b, "+Inf"...)
	case math.IsNaN(v), math.IsInf(v, -1):
		return strconv.AppendFloat(b, v, 'g', -1, 64)
	case v == math.Trunc(v) && v > -exponents && v < exponents: // most values, and much faster so
		b = strconv.AppendInt(b, int64(v), 10)
	default:
		b = strconv.AppendFloat(b, v, 'g', -1, 64)
	}
	if t.syntax == openMetrics && !bytes.ContainsAny(b[start:], "e.") {
		b = append(b, ".0"...)
	}
	return b
}
