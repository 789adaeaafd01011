// SPDX-License-Identifier: Apache-2.0

package tracectx

import (
	"encoding/binary"
	"math"
	"math/bits"
	"sync"
	"sync/atomic"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

const (
	// perShard is the mean number of spans in a shard of a table at its capacity.
	// Few large shards keep what spans touch in the caches, and an observation has
	// few locks to take: 128 measured better than 16, 32 and 64 in a program that
	// allocates. Keys are searched one by one, 10 ns in a table half full.
	perShard = 128
	// room is what a shard has room for. Ids spread evenly but not equally: by
	// Poisson's law one full shard in ten millions needs more.
	room = 192
	// fewestShards keep goroutines apart where the capacity is small.
	fewestShards = 4
)

// A table is the set of active local roots: shards of fixed size, one mutex each,
// keys apart from what they stand for. It holds no pointer but to spans that may get
// events, so the garbage collector does not look inside the rest. An add and a
// remove are one short critical section each, and what is in use of a shard lies
// together, so that an observation runs through it.
type table struct {
	shards []shard
	names  *names
	named  []atomic.Pointer[rootName] // names.entries: one step less for each span
	clock  *clock
	limit  uint32        // spans in a shard
	full   atomic.Uint64 // spans that found no room
}

// A shard is a whole number of cache lines, so that two never share one. One span
// alone takes two: the first of the shard, and that of its slot.
type shard struct {
	mu sync.Mutex
	// started counts adds since the last observation, which takes them over:
	// a counter per shard, because one for all would be the only cache line
	// that every core wants. Ends need no counter of their own, see Observe.
	started uint32
	used    uint32 // keys[:used] and slots[:used] are in use
	streak  streak
	// endedInner counts roots inside others that ended since the last observation.
	endedInner uint32
	// due is when, on the observer's clock, a span may have to be given up or to
	// get an event: not before.
	due int64
	// live has the spans themselves, of those that may get events; nil where
	// none may: apart, for it is all that the collector must look at.
	live *[room]sdktrace.ReadWriteSpan
	keys [room]uint64 // span ids

	_     [8]byte // slots begin at a line
	slots [room]slot
}

// slot is what is known of a span.
type slot struct {
	trace  trace.TraceID
	start  int64  // the span's own start, in nanoseconds since 1970
	seen   int64  // when an observation first saw it, on the observer's clock; notSeen if none has
	born   uint32 // when it was seen to begin, on the coarse clock
	stack  uint32 // where its goroutine's stack was when it began, the lower half
	label  uint32 // which labels its goroutine got, see markOf; zero if it got none
	source uint32 // which source added it
	name   uint16 // index into names
	began  uint16 // the same of the name that it began under
	flags  flags
	events uint8 // it has got so many, see sampler
}

type flags uint8

const (
	sampled flags = 1 << iota // it will be exported, by the sampler's decision
	saved                     // the labeller has kept what to restore at its end
	inner                     // it began inside another root, by a lost context
)

func (f flags) has(flag flags) bool { return f&flag != 0 }

// notSeen is later than any time on the observer's clock.
const notSeen = math.MaxInt64

// newTable returns a table in which capacity spans find room; it keeps hold of
// them if they are to get events.
func newTable(capacity int, keepLive bool, names *names, clock *clock) *table {
	n := max(fewestShards, (capacity+perShard-1)/perShard)
	mean := float64(capacity) / float64(n)
	t := &table{
		shards: make([]shard, n),
		names:  names,
		named:  names.entries,
		clock:  clock,
		limit:  uint32(min(room, math.Ceil(mean+6*math.Sqrt(mean)))),
	}
	for i := range t.shards {
		t.shards[i].due = math.MaxInt64
		if keepLive {
			t.shards[i].live = new([room]sdktrace.ReadWriteSpan)
		}
	}
	return t
}

// add puts a span into the table, unless it is there already or the source is
// closed. Without room it counts the span as turned away. live may be nil.
func (t *table) add(key uint64, x *slot, name *rootName, live sdktrace.ReadWriteSpan, closed *atomic.Bool) (added bool) {
	s := t.shard(key, &x.trace)
	s.mu.Lock()
	index := name.index
	if name.retired.Load() { // asked under the lock, see names.renew
		index = t.names.other.index
	}
	// Asked under the lock too: whoever closes a source sets the flag first and then
	// clears shard by shard, so that no span slips in behind the clearing.
	switch i := s.used; {
	case closed.Load() || s.find(key, &x.trace) >= 0:
	case i >= t.limit || i >= room:
		t.full.Add(1)
	default:
		s.keys[i], s.slots[i] = key, *x
		y := &s.slots[i] // writing to x just before it is copied would make the copy wait
		y.seen, y.name, y.began = notSeen, index, index
		if s.live != nil {
			s.live[i] = live
		}
		s.used++
		s.started++
		added = true
	}
	s.mu.Unlock()
	return added
}

// An ending is what is left of a span that has ended.
type ending struct {
	stack, label uint32
	flags        flags
}

// remove takes a span out of the table, if it is there, which ended at the given time,
// and says what its labels need to know. The span itself is asked for its name; nil has
// the one that is known.
func (t *table) remove(key uint64, id trace.TraceID, end int64, span sdktrace.ReadOnlySpan) (e ending, ok bool) {
	s := t.shard(key, &id)
	s.mu.Lock()
	i := s.find(key, &id)
	if i >= 0 {
		x := &s.slots[i]
		e = ending{x.stack, x.label, x.flags}
		t.ended(s, x, end, key, span)
		s.drop(uint32(i))
	}
	s.mu.Unlock()
	return e, i >= 0
}

// ended counts a span of a shard, which is locked, under the name that it ended with.
//
// The SDK copies 400 bytes to answer for the name of an ended span, a sixth of what a
// root costs. So only one in eight is asked of a name whose spans have all kept it so
// far; after the first that has not, all are.
func (t *table) ended(s *shard, x *slot, end int64, key uint64, span sdktrace.ReadOnlySpan) {
	name := t.named[x.name].Load()
	began := name
	if x.began != x.name {
		began = t.named[x.began].Load()
	}
	if span != nil && (began.renames.Load() || !began.settled.Load() || key>>32%8 == 0) {
		if text := span.Name(); text != name.text {
			name = t.names.intern(text)
		}
	}
	if x.flags.has(inner) {
		s.endedInner++
	}
	k := likeness(name.index)<<48 | likeness(x.began)<<32 | likeness(bucketOf(t.clock.took(x.start, end, x.born)))
	var epoch uint32
	if began != name && !began.renames.Load() {
		began.renames.Store(true)
	}
	if began.renames.Load() {
		begin, _ := epochOf(int64(x.born))
		k, epoch = k|renaming, uint32(begin)
	}
	if s.streak.likeness != k || s.streak.epoch != epoch {
		t.names.count(&s.streak)
		s.streak = streak{likeness: k, epoch: epoch}
	}
	s.streak.n++
}

// A streak is spans that ended one after the other in a shard and are counted
// together. Under the lock that is held anyway; else the spans of a program that has
// one kind of them would all meet in one counter.
type streak struct {
	likeness
	epoch uint32 // in which they began, if they are renaming
	n     uint32
}

// A likeness is what the spans of a streak have in common, in one word: the names that
// they ended with and began under, and the bucket of durations.
type likeness uint64

// renaming tells of spans that begin under their name that they are counted by the
// name that they end with.
const renaming likeness = 1 << 31

func (k likeness) name() uint16  { return uint16(k >> 48) }
func (k likeness) began() uint16 { return uint16(k >> 32) }
func (k likeness) bucket() uint8 { return uint8(k) }

// rename gives a span another name, if it is there and has not got it, and says what
// its labels need to know.
func (t *table) rename(key uint64, id trace.TraceID, text string) (x slot, name *rootName, ok bool) {
	s := t.shard(key, &id)
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.find(key, &id)
	if i < 0 {
		return x, nil, false
	}
	name = t.names.intern(text)
	if s.slots[i].name == name.index {
		return x, nil, false
	}
	s.slots[i].name = name.index
	return s.slots[i], name, true
}

// relabel notes that a span's goroutine gets other labels, if it had got any, which
// relabel reports.
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

// runs reports whether a root is active that gave its goroutine the labels with a
// mark, and whether one that did began on the stack that is at here, not further up
// than it reaches. It looks at every active root, a nanosecond each.
func (t *table) runs(label, here, reach uint32) (active, same bool) {
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		for j := range s.slots[:min(s.used, room)] {
			if x := &s.slots[j]; x.label == label {
				active = true
				same = same || x.stack-here < reach || near(x.stack, here)
			}
		}
		s.mu.Unlock()
		if same {
			break
		}
	}
	return active, same
}

// removeFrom takes out every span of one source and returns how many there were.
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

// find returns the place of a span in the shard, or -1: the newest first, which
// are the soonest to end. Span ids are unique in their trace only, so it compares both.
func (s *shard) find(key uint64, id *trace.TraceID) int {
	for i := int(min(s.used, room)) - 1; i >= 0; i-- {
		if s.keys[i] == key && s.slots[i].trace == *id {
			return i
		}
	}
	return -1
}

// at returns the span at place i.
func (s *shard) at(i int) tracked { return tracked{s.keys[i], s.slots[i]} }

// drop takes the span at place i out by moving the last one there. The shard is locked.
func (s *shard) drop(i uint32) {
	s.used--
	last := s.used
	if i != last {
		s.keys[i], s.slots[i] = s.keys[last], s.slots[last]
	}
	if s.live != nil {
		s.live[i] = s.live[last]
		s.live[last] = nil
	}
}

// shard returns the shard that a span belongs to. Ids may come from a generator
// that counts 1, 2, 3, so they are mixed, and the trace id goes in so that equal
// span ids of many traces do not crowd one shard.
func (t *table) shard(key uint64, id *trace.TraceID) *shard {
	low := binary.LittleEndian.Uint64(id[:8])
	high := binary.LittleEndian.Uint64(id[8:])
	// Two large odd numbers without structure: the fractions of the golden
	// ratio and of the square root of two.
	const a, b = 0x9e3779b97f4a7c15, 0x6a09e667f3bcc909
	h, l := bits.Mul64(key^a, bits.RotateLeft64(low, 32)^high^b)
	i, _ := bits.Mul64(h^l, uint64(len(t.shards))) // of [0, 1) times the number of shards
	return &t.shards[i]
}

func keyOf(span trace.SpanID) uint64 { return binary.LittleEndian.Uint64(span[:]) }

func spanOf(key uint64) (span trace.SpanID) {
	binary.LittleEndian.PutUint64(span[:], key)
	return span
}
