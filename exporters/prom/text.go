package prom

import (
	"bytes"
	"math"
	"strconv"
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
			t.number(v.Number)
		default:
			t.sample(v, "", nil)
			t.number(v.Number)
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
		t.count(n)
	}
	t.sample(v, "_sum", nil)
	t.number(h.Sum)
	t.sample(v, "_count", nil)
	t.count(n)
}

// sample appends a line up to its number.
func (t *text) sample(v *value, suffix string, bound []byte) {
	t.out = append(v.form.appendName(t.out, suffix, v.Labels, bound), ' ')
}

func (t *text) number(v float64) { t.out = append(t.appendFloat(t.out, v), '\n') }

// count appends a count, which is a number like any other in the classic syntax.
func (t *text) count(n uint64) {
	if t.syntax == classic {
		t.number(float64(n))
		return
	}
	t.out = append(strconv.AppendUint(t.out, n, 10), '\n')
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
