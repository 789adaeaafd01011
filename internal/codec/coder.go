// SPDX-License-Identifier: Apache-2.0

package codec

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"time"
	"unicode/utf8"
)

// coder is one end of the encoding. Each of its methods and functions takes pointers to fields. It appends
// the fields to b, or, if reading is set, sets them from the beginning of b. So one description of a type
// serves both directions, see format.go. A coder that writes changes no field: snapshots are shared.
//
// After the first error, reading returns zero values, so that the caller needs to check only end.
type coder struct {
	b       []byte // written so far, or the rest of the input
	reading bool
	version byte
	err     error
	start   int      // of the output in b
	limit   int      // lists end when the output is larger, see Append; 0 for none
	origins []origin // of the exemplars so far
}

// size returns the number of bytes written.
func (c *coder) size() int { return len(c.b) - c.start }

// full reports whether the output is too large.
func (c *coder) full() bool { return c.limit > 0 && c.size() > c.limit }

func (c *coder) fail(what string) {
	if c.err == nil {
		c.err = fmt.Errorf("%w: %s, %d bytes before the end", ErrMalformed, what, len(c.b))
	}
	c.b = nil
}

// end returns the first error. Input after the last field is an error.
func (c *coder) end() error {
	if c.err == nil && len(c.b) > 0 {
		c.fail("trailing bytes")
	}
	return c.err
}

// header codes the version, which is the first byte of a schema and a record.
func (c *coder) header() {
	if !c.reading {
		c.version = codecVersion
	}
	c.byte(&c.version)
	if v := c.version; c.err == nil && (v < 1 || v > codecVersion) {
		c.fail(fmt.Sprintf("version %d; this version of gmpulse reads up to %d", v, codecVersion))
	}
}

// take returns the next n bytes of the input, nil if there are fewer.
func (c *coder) take(n int) []byte {
	if n > len(c.b) {
		c.fail("truncated")
		return nil
	}
	b := c.b[:n]
	c.b = c.b[n:]
	return b
}

// bytes codes an array.
func (c *coder) bytes(v []byte) {
	if c.reading {
		copy(v, c.take(len(v)))
		return
	}
	c.b = append(c.b, v...)
}

func (c *coder) byte(v *byte) {
	if !c.reading {
		c.b = append(c.b, *v)
	} else if b := c.take(1); b != nil {
		*v = b[0]
	}
}

func (c *coder) bool(v *bool) {
	var b byte
	if *v {
		b = 1
	}
	if c.byte(&b); c.reading {
		if *v = b == 1; b > 1 {
			c.fail("invalid bool")
		}
	}
}

// flags codes up to eight bools as one byte.
func (c *coder) flags(all ...*bool) {
	var b byte
	for i, v := range all {
		if *v {
			b |= 1 << i
		}
	}
	if c.byte(&b); !c.reading {
		return
	}
	if b>>len(all) != 0 {
		c.fail("invalid flags of a metric")
	}
	for i, v := range all {
		*v = b>>i&1 == 1
	}
}

func (c *coder) uint(v *uint64) {
	if !c.reading {
		c.b = binary.AppendUvarint(c.b, *v)
		return
	}
	x, n := binary.Uvarint(c.b)
	*v = x
	c.skip(n)
}

// signed codes an integer that may be negative.
func signed[T ~int | ~int64](c *coder, v *T) {
	if !c.reading {
		c.b = binary.AppendVarint(c.b, int64(*v))
		return
	}
	x, n := binary.Varint(c.b)
	*v = T(x)
	c.skip(n)
}

// skip removes a number of n bytes from the input. n is not positive if the number was invalid.
func (c *coder) skip(n int) {
	if n <= 0 {
		c.fail("invalid number")
		return
	}
	c.b = c.b[n:]
}

func (c *coder) fixed64(v *uint64) {
	if !c.reading {
		c.b = binary.LittleEndian.AppendUint64(c.b, *v)
	} else if b := c.take(8); b != nil {
		*v = binary.LittleEndian.Uint64(b)
	}
}

// nan is the bit pattern of an absent number, which float encodes in one byte.
const nan = 0x7ff8000000000000

// float codes small whole numbers, zero and NaN in a few bytes, because reversing the bytes turns the
// trailing zeros of the mantissa into leading zeros.
func (c *coder) float(v *float64) {
	x := bits.ReverseBytes64(math.Float64bits(*v) ^ nan)
	if c.uint(&x); c.reading {
		*v = math.Float64frombits(bits.ReverseBytes64(x) ^ nan)
	}
}

const cutMark = "…(cut)"

// text codes a string. It truncates and marks a longer one than MaxEncodedText.
func text[T ~string](c *coder, v *T) {
	if c.reading {
		var n uint64
		if c.uint(&n); n > MaxEncodedText {
			c.fail("string too long")
			n = 0
		}
		*v = T(c.take(int(n)))
		return
	}
	s, mark := string(*v), ""
	if len(s) > MaxEncodedText {
		end := MaxEncodedText - len(cutMark)
		for n := 1; n < utf8.UTFMax && !utf8.RuneStart(s[end]); n++ {
			end--
		}
		s, mark = s[:end], cutMark
	}
	n := uint64(len(s) + len(mark))
	c.uint(&n)
	c.b = append(append(c.b, s...), mark...)
}

// time codes the time, with its offset from UTC.
func (c *coder) time(t *time.Time) {
	_, zone := t.Zone()
	sec, nsec, offset := t.Unix(), uint64(t.Nanosecond()), int64(zone)
	signed(c, &sec)
	c.uint(&nsec)
	if signed(c, &offset); !c.reading {
		return
	}
	const day = 24 * 60 * 60
	if nsec >= 1e9 || offset < -day || offset > day {
		c.fail("invalid time")
	}
	if c.err != nil {
		*t = time.Time{}
		return
	}
	if *t = time.Unix(sec, int64(nsec)).UTC(); offset != 0 {
		*t = t.In(time.FixedZone("", int(offset)))
	}
}

// list codes the length of a list and its elements. Reading, an empty list is nil, and memory is allocated
// only for elements that are in the input, whatever the length says.
func list[T any](c *coder, v *[]T, one func(*coder, *T)) {
	n := uint64(len(*v))
	c.uint(&n)
	if !c.reading {
		for i := range *v {
			one(c, &(*v)[i])
			if c.full() {
				return
			}
		}
		return
	}
	if n > uint64(len(c.b)) { // an element takes at least a byte
		c.fail("list longer than the input")
	}
	*v = nil
	for ; n > 0 && c.err == nil; n-- {
		var zero T
		*v = append(*v, zero)
		one(c, &(*v)[len(*v)-1])
	}
}
