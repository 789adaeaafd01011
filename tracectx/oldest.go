// SPDX-License-Identifier: Apache-2.0

package tracectx

import (
	"bytes"
	"math"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// oldest keeps the spans that started first, at most runtimeinfo.MaxSpans, in
// order. An array kept sorted beats a heap here: of thousands of spans in no
// order, few are ever older than the 32 oldest so far. What is sorted is small, for
// most of it moves with each that is.
type oldest struct {
	order  [runtimeinfo.MaxSpans]entry
	spans  [runtimeinfo.MaxSpans]tracked
	n      int
	newest int64 // later starts need not be added
}

// An entry stands for one of the spans.
type entry struct {
	start int64
	at    int // in spans
}

// tracked is a span of the table, copied out.
type tracked struct {
	key uint64
	slot
}

func (o *oldest) reset() { o.n, o.newest = 0, math.MaxInt64 }

// add puts span i of a shard in its place, and the newest out if there are too many.
// It goes by start, and by ids where those are equal, so that the same spans always
// come in the same order.
func (o *oldest) add(s *shard, i int) {
	start, n, free := s.slots[i].start, o.n, o.n
	if n == len(o.order) {
		n--
		free = o.order[n].at
		if o.order[n].start == start && o.isBefore(free, s, i) {
			return
		}
	}
	at := n
	for at > 0 && o.order[at-1].start > start {
		o.order[at] = o.order[at-1]
		at--
	}
	for at > 0 && o.order[at-1].start == start && !o.isBefore(o.order[at-1].at, s, i) {
		o.order[at] = o.order[at-1]
		at--
	}
	o.order[at] = entry{start, free}
	o.spans[free] = s.at(i)
	o.n = n + 1
	if o.n == len(o.order) {
		o.newest = o.order[n].start
	}
}

// isBefore tells whether one of the spans comes before span i of a shard, by their ids.
func (o *oldest) isBefore(at int, s *shard, i int) bool {
	than := &o.spans[at]
	if order := bytes.Compare(than.trace[:], s.slots[i].trace[:]); order != 0 {
		return order < 0
	}
	return than.key < s.keys[i]
}

// at returns span i, the oldest first.
func (o *oldest) at(i int) *tracked { return &o.spans[o.order[i].at] }
