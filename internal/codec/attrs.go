// SPDX-License-Identifier: Apache-2.0

package codec

import (
	"log/slog"
	"slices"
	"time"
)

// maxAttrDepth limits nested groups, because a [slog.LogValuer] may return a group that
// contains itself.
const maxAttrDepth = 8

// The kind of an attribute precedes its key. The numbers are part of the format.
const (
	attrText byte = iota
	attrBool
	attrInt
	attrUint
	attrFloat
	attrDuration
	attrTime
	attrGroup
	attrEnd byte = 0xff // end of a group
)

// slogAttrs codes a list that ends with attrEnd, because the number of attributes is not
// known in advance.
func (c *coder) slogAttrs(as *[]slog.Attr, depth int) {
	if c.reading {
		for c.slogAttr(as, depth) {
		}
		return
	}
	for _, a := range *as {
		v := a.Value.Resolve()
		if v.Kind() == slog.KindGroup && depth == 0 || a.Equal(slog.Attr{}) {
			continue
		}
		if c.full() {
			break
		}
		kind := kindOf(v)
		c.byte(&kind)
		text(c, &a.Key)
		c.slogValue(kind, &v, depth)
	}
	end := attrEnd
	c.byte(&end)
}

// slogAttr reads an attribute and reports whether there was one.
func (c *coder) slogAttr(as *[]slog.Attr, depth int) bool {
	var kind byte
	if c.byte(&kind); kind == attrEnd || c.err != nil {
		return false
	}
	var a slog.Attr
	text(c, &a.Key)
	c.slogValue(kind, &a.Value, depth)
	*as = append(*as, a)
	return c.err == nil
}

// kindOf returns the kind of an attribute. Values of other types than these are written as text.
func kindOf(v slog.Value) byte {
	kinds := []slog.Kind{
		attrText: slog.KindString, attrBool: slog.KindBool, attrInt: slog.KindInt64, attrUint: slog.KindUint64, attrFloat: slog.KindFloat64,
		attrDuration: slog.KindDuration, attrTime: slog.KindTime, attrGroup: slog.KindGroup,
	}
	return byte(max(int(attrText), slices.Index(kinds, v.Kind())))
}

// slogValue codes a value of a kind.
func (c *coder) slogValue(kind byte, v *slog.Value, depth int) {
	switch kind {
	case attrText:
		as(c, v, slog.Value.String, slog.StringValue, text[string])
	case attrBool:
		as(c, v, slog.Value.Bool, slog.BoolValue, (*coder).bool)
	case attrInt:
		as(c, v, slog.Value.Int64, slog.Int64Value, signed[int64])
	case attrUint:
		as(c, v, slog.Value.Uint64, slog.Uint64Value, (*coder).uint)
	case attrFloat:
		as(c, v, slog.Value.Float64, slog.Float64Value, (*coder).float)
	case attrDuration:
		as(c, v, slog.Value.Duration, slog.DurationValue, signed[time.Duration])
	case attrTime:
		as(c, v, slog.Value.Time, slog.TimeValue, (*coder).time)
	case attrGroup:
		if depth == 0 {
			c.fail("too many nested groups")
			return
		}
		group := func(c *coder, list *[]slog.Attr) { c.slogAttrs(list, depth-1) }
		as(c, v, slog.Value.Group, func(list []slog.Attr) slog.Value { return slog.GroupValue(list...) }, group)
	default:
		c.fail("unknown kind of attribute")
	}
}

// as codes a value as a T.
func as[T any](c *coder, v *slog.Value, get func(slog.Value) T, value func(T) slog.Value, code func(*coder, *T)) {
	var x T
	if !c.reading {
		x = get(*v)
	}
	if code(c, &x); c.reading {
		*v = value(x)
	}
}
