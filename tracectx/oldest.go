package tracectx

import (
	"bytes"
	"math"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// oldest keeps the spans that started first, at most runtimeinfo.MaxSpans, in
// order. An array kept sorted beats a heap here: of thousands of spans in no
// order, few are ever older than the 32 oldest so far.
type oldest struct {
	list   [runtimeinfo.MaxSpans]tracked
	n      int
	newest int64 // later starts need not be added
}

func (o *oldest) reset() { o.n, o.newest = 0, math.MaxInt64 }

// add puts t in its place, and the newest out if there are too many.
func (o *oldest) add(t *tracked) {
	at := o.n
	for at > 0 && t.isOlder(&o.list[at-1]) {
		at--
	}
	if at == len(o.list) {
		return
	}
	o.n = min(o.n+1, len(o.list))
	copy(o.list[at+1:o.n], o.list[at:])
	o.list[at] = *t
	if o.n == len(o.list) {
		o.newest = o.list[o.n-1].start
	}
}

func (o *oldest) spans() []tracked { return o.list[:o.n] }

// isOlder goes by start, and by ids where those are equal, so that the same
// spans always come in the same order.
func (t *tracked) isOlder(than *tracked) bool {
	if t.start != than.start {
		return t.start < than.start
	}
	if order := bytes.Compare(t.trace[:], than.trace[:]); order != 0 {
		return order < 0
	}
	return t.key < than.key
}
