// SPDX-License-Identifier: Apache-2.0

package tracectx

import (
	"context"
	"encoding/binary"
	"math"
	"math/bits"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

const (
	// perShard is the mean number of spans in a shard of a full table. Larger shards
	// keep the memory that spans touch in the caches and need fewer locks per
	// observation; 128 measured better than 16, 32 and 64 in a program that
	// allocates. A linear search in a half full shard takes 10 ns.
	perShard = 128
	// room is the size of a shard. Ids are spread evenly, so the number of spans in a
	// shard has a Poisson distribution: one full table in ten million needs more.
	room = 192
	// minShards limits contention if the capacity is small.
	minShards = 4
)

// A table holds the active local roots, in shards of fixed size with a mutex each. The
// slots contain no pointers, so the garbage collector does not scan them. Adding and
// removing a span take one short critical section each. Used slots are contiguous, so
// an observation reads memory sequentially.
type table struct {
	shards    []shard
	names     *names
	clock     *clock
	keepSpans bool          // keep references to sampled spans
	limit     uint32        // spans per shard
	full      atomic.Uint64 // spans that found no room
}

// The size of a shard is a multiple of the cache line size, so that shards share no
// line. A single active span touches two lines: the first line of the shard and the
// line of its slot.
type shard struct {
	mu sync.Mutex
	// started counts spans added since the last observation. One counter for all
	// shards would be contended by all cores. The number of spans that ended follows
	// from the other counts, see Observe.
	started uint32
	used    uint32 // keys[:used] and slots[:used] are in use
	streak  streak
	// endedInner counts spans with the flag inner that ended since the last observation.
	endedInner uint32
	// refs holds the pointers of the spans; nil while there are none.
	refs *[room]refs
	keys [room]uint64 // span ids

	_     [8]byte // aligns slots to a cache line
	slots [room]slot
}

// A slot holds what is known about a span, without pointers.
type slot struct {
	trace  trace.TraceID
	start  int64  // reported by the span, in Unix nanoseconds
	seen   int64  // time of the first observation that saw the span, on the observer's clock; or notSeen
	born   uint32 // when it began, on the coarse clock
	stack  uint32 // stack address of its goroutine at the start, see stackAddress
	label  uint32 // the label set its goroutine got, see markOf; 0: none
	source uint32 // id of the source that added it
	name   uint16 // index in names
	began  uint16 // index of the name that it began under
	flags  flags
	events uint8 // number of events that it has got, see longSpans
}

// set copies a span that begins. It copies each field, because the caller has just
// written them one by one: a copy of the whole slot reads wider words and stalls until
// those writes have left the store buffer.
func (s *slot) set(x *slot, name uint16) {
	s.trace, s.start, s.seen = x.trace, x.start, notSeen
	s.born, s.stack, s.label, s.source = x.born, x.stack, x.label, x.source
	s.name, s.began, s.flags, s.events = name, name, x.flags, 0
}

// refs are the pointers that some spans need.
type refs struct {
	span   sdktrace.ReadWriteSpan // to add events to
	before context.Context        //nolint:containedctx // the labels that its end restores
}

type flags uint8

const (
	sampled flags = 1 << iota
	inner         // it began inside another root because the context was lost
)

func (f flags) has(flag flags) bool { return f&flag != 0 }

const notSeen = math.MaxInt64

// newTable returns a table for capacity spans.
func newTable(capacity int, keepSpans bool, names *names, clock *clock) *table {
	n := max(minShards, (capacity+perShard-1)/perShard)
	mean := float64(capacity) / float64(n)
	return &table{
		shards:    make([]shard, n),
		names:     names,
		clock:     clock,
		keepSpans: keepSpans,
		limit:     uint32(min(room, math.Ceil(mean+6*math.Sqrt(mean)))),
	}
}

// add adds a span, unless it is in the table already or closed is set. It reports
// whether it added the span, and counts it in full if there was no room.
func (t *table) add(key uint64, x *slot, name *rootName, r refs, closed *atomic.Bool) (added bool) {
	if !t.keepSpans {
		r.span = nil
	}
	s := t.shard(key, &x.trace)
	s.mu.Lock()
	index := name.index
	if name.retired.Load() { // read with the lock held, see names.replace
		index = t.names.other.index
	}
	// closed is read with the lock held: a source is closed first and its spans are
	// removed then, so none can be added behind removeFrom.
	switch i := s.used; {
	case closed.Load() || s.find(key, &x.trace) >= 0:
	case i >= t.limit || i >= room:
		t.full.Add(1)
	default:
		s.keys[i] = key
		s.slots[i].set(x, index)
		if r.span != nil || r.before != nil {
			if s.refs == nil {
				s.refs = new([room]refs)
			}
			s.refs[i] = r
		}
		s.used++
		s.started++
		added = true
	}
	s.mu.Unlock()
	return added
}

// An ending is the part of a removed span that the labeller needs.
type ending struct {
	stack, label uint32
	before       context.Context //nolint:containedctx // see refs
}

// remove removes a span that ended at the time end, and reports whether it was in the
// table. If span is nil, the span's final name is the known one.
func (t *table) remove(key uint64, id trace.TraceID, end int64, span sdktrace.ReadOnlySpan) (e ending, ok bool) {
	s := t.shard(key, &id)
	s.mu.Lock()
	i := s.find(key, &id)
	if i >= 0 {
		x := &s.slots[i]
		e = ending{stack: x.stack, label: x.label}
		if s.refs != nil {
			e.before = s.refs[i].before
		}
		t.countEnd(s, x, end, key, span)
		s.drop(uint32(i))
	}
	s.mu.Unlock()
	return e, i >= 0
}

// countEnd counts a span that ended. The caller holds the lock of the shard.
//
// The SDK copies 400 bytes to return the name of an ended span, a sixth of the cost of
// a root. If no span of a settled name was renamed so far, countEnd reads the name of
// one span in eight; after the first renamed span it reads all.
func (t *table) countEnd(s *shard, x *slot, end int64, key uint64, span sdktrace.ReadOnlySpan) {
	name, began := t.names.at(x.name), t.names.at(x.began)
	if span != nil && (began.renamed.Load() || !began.settled.Load() || key>>32%8 == 0) {
		if text := span.Name(); text != name.text {
			name = t.names.intern(text)
		}
	}
	if x.flags.has(inner) {
		s.endedInner++
	}
	took := t.clock.duration(x.start, end, x.born)
	kind := streakKind{
		name: name.index, began: x.began, bucket: bucketOf(took),
		failed: span != nil && span.Status().Code == codes.Error,
	}
	if began != name && !began.renamed.Load() {
		began.renamed.Store(true)
	}
	if began.renamed.Load() {
		begin, _ := epochOf(int64(x.born))
		kind.renaming, kind.epoch = true, uint32(begin)
	}
	if s.streak.streakKind != kind {
		t.names.count(&s.streak)
		s.streak = streak{streakKind: kind}
	}
	s.streak.n++
	s.streak.time += max(took, 0)
}

// A streak counts consecutive ended spans of a shard that have the same kind. It is
// added to the shared counters of the names when it ends, because the goroutines of a
// program with one busy name would contend for one counter.
type streak struct {
	streakKind
	n    uint32
	time int64 // sum of the durations in nanoseconds
}

type streakKind struct {
	name, began uint16 // indexes of the final name and of the name at the start
	bucket      uint8  // of the duration
	failed      bool   // the status is Error
	// renaming means that spans which begin under this name may be renamed, so their
	// final names are counted by epoch.
	renaming bool
	epoch    uint32 // in which the spans began, if renaming is set
}

// rename changes the name of an active span and returns the span. ok is false if the
// span is not in the table or has the name already.
func (t *table) rename(key uint64, id trace.TraceID, text string) (x slot, before context.Context, name *rootName, ok bool) {
	s := t.shard(key, &id)
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.find(key, &id)
	if i < 0 {
		return x, nil, nil, false
	}
	name = t.names.intern(text)
	if s.slots[i].name == name.index {
		return x, nil, nil, false
	}
	s.slots[i].name = name.index
	if s.refs != nil {
		before = s.refs[i].before
	}
	return s.slots[i], before, name, true
}

// relabel sets the label set of a span's goroutine. It reports whether the span is in
// the table and its goroutine has labels.
func (t *table) relabel(key uint64, id trace.TraceID, label uint32) bool {
	s := t.shard(key, &id)
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.find(key, &id)
	if i < 0 || s.slots[i].label == 0 {
		return false
	}
	s.slots[i].label = label
	return true
}

// labelled reports whether an active root gave its goroutine the label set with a
// mark, and how far above here the nearest stack address of such a start is: 0 if it is a
// little below. variant is the index of the set in its block, or -1 if that is unknown:
// then labelled reads all active roots, about 1 ns each and 20 ns for each shard,
// otherwise one in 16.
func (t *table) labelled(label, here uint32, variant int) (active bool, distance uint32) {
	distance = math.MaxUint32
	first, step := 0, 1
	if variant >= 0 && len(t.shards) >= variants {
		first, step = variant, variants
	}
	for i := first; i < len(t.shards); i += step {
		s := &t.shards[i]
		s.mu.Lock()
		for j := range s.slots[:min(s.used, room)] {
			if x := &s.slots[j]; x.label == label {
				active = true
				if near(x.stack, here) {
					distance = 0
				}
				distance = min(distance, x.stack-here)
			}
		}
		s.mu.Unlock()
		if distance < nearby {
			break
		}
	}
	return active, distance
}

// removeFrom removes the spans of a source and returns their number.
func (t *table) removeFrom(source uint32) (removed uint64) {
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		for j := int(s.used) - 1; j >= 0; j-- {
			if s.slots[j].source == source {
				s.drop(uint32(j))
				removed++
			}
		}
		s.mu.Unlock()
	}
	return removed
}

// find returns the index of a span in the shard, or -1. It begins with the newest
// spans, which end first. Span ids are unique within a trace only.
func (s *shard) find(key uint64, id *trace.TraceID) int {
	for i := int(min(s.used, room)) - 1; i >= 0; i-- {
		if s.keys[i] == key && s.slots[i].trace == *id {
			return i
		}
	}
	return -1
}

// at returns a copy of a span.
func (s *shard) at(i int) tracked { return tracked{s.keys[i], s.slots[i]} }

// drop removes a span by moving the last one to its index. The caller holds the lock.
func (s *shard) drop(i uint32) {
	s.used--
	last := s.used
	if i != last {
		s.keys[i], s.slots[i] = s.keys[last], s.slots[last]
	}
	if s.refs != nil {
		if i != last {
			s.refs[i] = s.refs[last]
		}
		s.refs[last] = refs{}
	}
}

// variant returns which of the equal label sets of its name and epoch a span uses: in a
// table of at least 16 shards, the remainder of its shard, for labelled.
func (t *table) variant(key uint64, id *trace.TraceID) int {
	if len(t.shards) < variants {
		return int((key ^ key>>56) % variants) // for random ids and for ids that count up
	}
	return t.index(key, id) % variants
}

// shard returns the shard of a span.
func (t *table) shard(key uint64, id *trace.TraceID) *shard { return &t.shards[t.index(key, id)] }

// index returns the index of the shard of a span. It hashes the ids, because generators may count
// them up, and includes the trace id, because many traces may use equal span ids.
func (t *table) index(key uint64, id *trace.TraceID) int {
	low := binary.LittleEndian.Uint64(id[:8])
	high := binary.LittleEndian.Uint64(id[8:])
	// Odd 64-bit constants: fractions of the golden ratio and of the square root of two.
	const a, b = 0x9e3779b97f4a7c15, 0x6a09e667f3bcc909
	h, l := bits.Mul64(key^a, bits.RotateLeft64(low, 32)^high^b)
	i, _ := bits.Mul64(h^l, uint64(len(t.shards))) // scales the hash to the number of shards
	return int(i)
}

func keyOf(span trace.SpanID) uint64 { return binary.LittleEndian.Uint64(span[:]) }

func spanOf(key uint64) (span trace.SpanID) {
	binary.LittleEndian.PutUint64(span[:], key)
	return span
}
