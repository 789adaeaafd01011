package tracectx

import (
	"encoding/binary"
	"math/bits"
	"sync"
	"sync/atomic"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

const (
	// ways keys make a bucket's head two cache lines, a pair that x86 fetches
	// together. Half the ways would double the locks that an observation takes.
	ways = 14
	// choices is how many buckets a span may go to. The second to fourth are
	// looked at only when those before are full: with two choices a table at
	// its capacity still turned away one span in a few thousand.
	choices = 4
	// perBucket is the mean number of spans in a bucket at capacity, at most:
	// TestTableHoldsItsCapacity measures that this leaves enough room.
	perBucket = 8
)

// A table is the set of active local roots: a fixed, set-associative hash
// table, one mutex per bucket, keys apart from what they stand for. It holds no
// pointer but to spans that may get events, so the garbage collector does not look
// inside the rest, and an add and a remove are one short critical section each. Measured against sharded maps,
// sync.Map, and spin locks: docs of the package.
type table struct {
	mask    uint64
	buckets []bucket
	slots   [][ways]slot // beside buckets, same index
	// live has the spans themselves, of those that may get events; same index.
	// nil where none may: apart, for it is all that the collector must look at.
	live [][ways]sdktrace.ReadWriteSpan

	full atomic.Uint64 // spans that found no room
}

// A bucket is 128 bytes, so that two of them never share a cache line.
type bucket struct {
	mu sync.Mutex
	// started counts adds since the last observation, which takes them over:
	// a counter per bucket, because one for all would be the only cache line
	// that every core wants. Ends need no counter of their own, see Observe.
	started uint32
	used    uint32       // keys[:used] are in use
	keys    [ways]uint64 // span ids
}

type slot struct {
	trace  trace.TraceID
	start  int64   // the span's own start, in nanoseconds since 1970
	seen   int64   // when an observation first saw it, on the processor's clock; 0 = not yet
	name   uint32  // index into names
	source uint32  // which source added it
	stack  uintptr // where its goroutine's stack was when it began
	merged bool    // it began under labels of the application's
	// sampled tells that it will be exported, by the sampler's decision.
	sampled bool
	events  uint8 // it has got so many, see sampler
}

// newTable returns a table in which capacity spans find room; it keeps hold of
// them if they are to get events.
func newTable(capacity int, keepLive bool) *table {
	n := choices // fewer buckets than choices would make them coincide
	for n*perBucket < capacity {
		n *= 2
	}
	t := &table{
		mask:    uint64(n - 1),
		buckets: make([]bucket, n),
		slots:   make([][ways]slot, n),
	}
	if keepLive {
		t.live = make([][ways]sdktrace.ReadWriteSpan, n)
	}
	return t
}

// add puts a span into the table, unless it is there already or the source is
// closed. Without room it counts the span as turned away. live may be nil.
func (t *table) add(span trace.SpanID, s *slot, live sdktrace.ReadWriteSpan, closed *atomic.Bool) (added bool) {
	key := keyOf(span)
	first, step := hash(key, s.trace)
	for i := range uint64(choices) {
		if settled, added := t.tryAdd((first+i*step)&t.mask, key, s, live, closed); settled {
			return added
		}
	}
	t.full.Add(1)
	return false
}

// tryAdd reports whether bucket i settled the matter, and by adding.
func (t *table) tryAdd(i, key uint64, s *slot, live sdktrace.ReadWriteSpan, closed *atomic.Bool) (settled, added bool) {
	b, slots := &t.buckets[i], &t.slots[i]
	b.mu.Lock()
	// Asked under the lock: whoever closes a source sets the flag first and then
	// clears bucket by bucket, so that no span slips in behind the clearing.
	settled = closed.Load() || b.find(key, &s.trace, slots) >= 0
	if !settled && b.used < ways {
		b.keys[b.used], slots[b.used] = key, *s
		if t.live != nil {
			t.live[i][b.used] = live
		}
		b.used++
		b.started++
		settled, added = true, true
	}
	b.mu.Unlock()
	return settled, added
}

// remove takes a span out of the table and into s, if it is there. Only s.trace
// is looked at.
func (t *table) remove(span trace.SpanID, s *slot) (ok bool) {
	key := keyOf(span)
	first, step := hash(key, s.trace)
	for i := range uint64(choices) {
		if t.tryRemove((first+i*step)&t.mask, key, s) {
			return true
		}
	}
	return false
}

func (t *table) tryRemove(i, key uint64, s *slot) bool {
	b, slots := &t.buckets[i], &t.slots[i]
	b.mu.Lock()
	j := b.find(key, &s.trace, slots)
	if j >= 0 {
		*s = slots[j]
		t.drop(i, j)
	}
	b.mu.Unlock()
	return j >= 0
}

// removeFrom takes out every span of one source and returns how many there were.
func (t *table) removeFrom(source uint32) (removed uint64) {
	for i := range t.buckets {
		b, slots := &t.buckets[i], &t.slots[i]
		b.mu.Lock()
		for j := int(b.used) - 1; j >= 0; j-- {
			if slots[j].source == source {
				t.drop(uint64(i), j)
				removed++
			}
		}
		b.mu.Unlock()
	}
	return removed
}

// find returns the index of a span in the bucket, or -1. Span ids are unique
// in their trace only, so it compares both.
func (b *bucket) find(key uint64, id *trace.TraceID, slots *[ways]slot) int {
	for j, k := range b.keys[:min(b.used, ways)] {
		if k == key && slots[j].trace == *id {
			return j
		}
	}
	return -1
}

// drop removes key j of bucket i by moving the last one into its place. The
// bucket is locked.
func (t *table) drop(i uint64, j int) {
	b, slots := &t.buckets[i], &t.slots[i]
	b.used--
	last := b.used
	b.keys[j], slots[j] = b.keys[last], slots[last]
	if t.live != nil {
		t.live[i][j] = t.live[i][last]
		t.live[i][last] = nil
	}
}

func keyOf(span trace.SpanID) uint64 { return binary.LittleEndian.Uint64(span[:]) }

func spanOf(key uint64) (span trace.SpanID) {
	binary.LittleEndian.PutUint64(span[:], key)
	return span
}

// hash returns the first bucket to try and an odd step to the next ones. Ids
// may come from a generator that counts 1, 2, 3, so they are mixed, and the trace
// id goes in so that equal span ids of many traces do not crowd one bucket.
func hash(key uint64, id trace.TraceID) (first, step uint64) {
	low := binary.LittleEndian.Uint64(id[:8])
	high := binary.LittleEndian.Uint64(id[8:])
	// Two large odd numbers without structure: the fractions of the golden
	// ratio and of the square root of two.
	const a, b = 0x9e3779b97f4a7c15, 0x6a09e667f3bcc909
	h, l := bits.Mul64(key^a, bits.RotateLeft64(low, 32)^high^b)
	h ^= l
	return h, h>>32 | 1
}
