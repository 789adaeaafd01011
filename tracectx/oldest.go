// SPDX-License-Identifier: Apache-2.0

package tracectx

import (
	"bytes"
	"cmp"
	"math"
	"slices"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// A tracked is a copy of a span in the table.
type tracked struct {
	key uint64
	slot
}

// compare orders spans by start, and by ids if the starts are equal.
func (x *tracked) compare(y *tracked) int {
	if x.start != y.start {
		return cmp.Compare(x.start, y.start)
	}
	return cmp.Or(bytes.Compare(x.trace[:], y.trace[:]), cmp.Compare(x.key, y.key))
}

// oldest collects the spans that started first, at most runtimeinfo.MaxSpans, in order.
type oldest struct {
	spans  []tracked
	newest int64 // spans that start later need not be added
}

func (o *oldest) reset() { o.spans, o.newest = o.spans[:0], math.MaxInt64 }

func (o *oldest) add(x tracked) {
	i := len(o.spans)
	for i > 0 && x.compare(&o.spans[i-1]) < 0 {
		i--
	}
	if len(o.spans) == runtimeinfo.MaxSpans {
		if i == len(o.spans) {
			return
		}
		o.spans = o.spans[:len(o.spans)-1]
	}
	o.spans = slices.Insert(o.spans, i, x)
	if len(o.spans) == runtimeinfo.MaxSpans {
		o.newest = o.spans[len(o.spans)-1].start
	}
}
