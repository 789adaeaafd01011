// SPDX-License-Identifier: Apache-2.0

package runtimeinfo

import (
	"math"
	"math/bits"
	"sync/atomic"
	"time"
)

// DefaultHistory is how many ticks a [History] keeps unless told otherwise: ten
// minutes at the default interval.
const DefaultHistory = 600

// History keeps the few process-wide numbers of the last ticks that tell what the
// process went through while a span ran. Make one with [NewHistory].
//
// Add belongs to one goroutine, the agent's tick; everything else may be called
// from any goroutine at any time and takes no lock. An Add costs about 1 µs and
// an allocation, a Window about 20 ns and none, see BenchmarkHistory.
type History struct {
	ticks  int64                         // kept
	mask   int64                         // of an index into ring and since
	ring   []atomic.Pointer[historyTick] // a power of two, larger than ticks
	since  []atomic.Int64                // of the tick at the same index: what Window searches in
	newest atomic.Pointer[historyTick]

	// What follows belongs to Add.
	catalogue *Catalogue      // that the columns were found in
	columns   [numColumns]int // the index of the metric, or -1
}

// historyTick is one tick. It is immutable.
type historyTick struct {
	seq      int64         // 0 for the first, rising by one
	time     time.Time     // with its monotonic reading
	since    time.Duration // from the first tick, by the monotonic clock
	hostPass time.Duration // likewise, of the host pass that its host values are of
	roots    int           // local roots that were active
	rootSum  float64       // of roots, over all ticks up to this one
	cpu      float64       // of the process, seconds; NaN where unknown
	numbers  [numColumns]float64
	latency  *Histogram
}

// column is a number of a tick that a metric has.
type column int

const (
	colGoroutines column = iota
	colHeap
	colPause
	colCycles
	colAllocated
	colThrottled
	colHostAge
	numColumns
)

// columnKeys are the metrics of the columns.
func columnKeys() [numColumns]string {
	return [numColumns]string{
		colGoroutines: "go.goroutine.count",
		colHeap:       "gmpulse.memory.heap_alloc",
		colPause:      "gmpulse.gc.pause.time",
		colCycles:     "go.memory.gc.cycles",
		colAllocated:  "go.memory.allocated",
		colThrottled:  "gmpulse.cgroup.cpu.throttled.time",
		colHostAge:    "gmpulse.host.age",
	}
}

const colLatency = "go.schedule.duration"

// slack is how many ticks a reader may be held up before what it looks at is
// overwritten; it then finds nothing.
const slack = 8

// NewHistory returns a History of as many ticks; zero or less means [DefaultHistory].
func NewHistory(ticks int) *History {
	if ticks <= 0 {
		ticks = DefaultHistory
	}
	size := 1 << bits.Len(uint(ticks+slack))
	return &History{
		ticks: int64(ticks),
		mask:  int64(size - 1),
		ring:  make([]atomic.Pointer[historyTick], size),
		since: make([]atomic.Int64, size),
	}
}

// Add appends a snapshot, in place of the oldest where there is no room. The
// snapshot's time should come from time.Now: its monotonic reading keeps a step
// of the wall clock out of the History. One that is not later than the last is
// ignored.
func (h *History) Add(s *Snapshot) { h.add(s, processCPU()) }

// Metrics returns none: a History adds nothing to snapshots.
func (*History) Metrics() []*Metric { return nil }

// Analyze appends the snapshot.
func (h *History) Analyze(d *Draft) { h.Add(d.Snapshot()) }

func (h *History) add(s *Snapshot, cpu float64) {
	t := &historyTick{time: s.Time, roots: activeRoots(s), cpu: cpu}
	t.rootSum = float64(t.roots)
	if last := h.newest.Load(); last != nil {
		t.seq = last.seq + 1
		t.since = last.since + s.Time.Sub(last.time)
		t.rootSum += last.rootSum
		if t.since <= last.since {
			return
		}
	}
	h.resolve(s)
	for c, i := range h.columns {
		t.numbers[c] = math.NaN()
		if i >= 0 {
			t.numbers[c] = s.numbers[i]
		}
	}
	t.latency = s.Histogram(colLatency)
	t.hostPass = math.MinInt64
	if age := t.numbers[colHostAge]; !math.IsNaN(age) {
		t.hostPass = t.since - time.Duration(age*float64(time.Second))
	}
	h.publish(t)
}

// publish makes a tick visible.
func (h *History) publish(t *historyTick) {
	i := t.seq & h.mask
	h.since[i].Store(int64(t.since))
	h.ring[i].Store(t)
	h.newest.Store(t)
}

// resolve finds the columns in the snapshot's catalogue, which is seldom a new one.
func (h *History) resolve(s *Snapshot) {
	if h.catalogue == s.catalogue && h.catalogue != nil {
		return
	}
	h.catalogue = s.catalogue
	for c, key := range columnKeys() {
		i, ok := s.catalogue.find(key)
		if !ok {
			i = -1
		}
		h.columns[c] = i
	}
}

func activeRoots(s *Snapshot) (n int) {
	for i := range s.SpanGroups {
		n += s.SpanGroups[i].Active
	}
	return n
}

// Latest returns the newest tick, and false before the first.
func (h *History) Latest() (Moment, bool) {
	t := h.newest.Load()
	return Moment{t}, t != nil
}

// Window returns what is known of the time from start to end: the ticks within
// it, and as its beginning the last tick before it, so that it begins up to a
// tick early and ends up to a tick early. Where start is older than the History it
// begins with the oldest tick. It is false where no tick lies within, or only one
// that has nothing before it.
//
// Times with a monotonic reading, as spans of the SDK have, are found by it;
// others by the wall clock, as it stood at the newest tick.
func (h *History) Window(start, end time.Time) (w Window, ok bool) {
	newest := h.newest.Load()
	if newest == nil {
		return w, false
	}
	w.history = h
	w.start = newest.since + min(start.Sub(newest.time), 0) // after it there is nothing anyway
	to := newest.seq
	if d := end.Sub(newest.time); d < 0 {
		to = h.before(newest, newest.seq, newest.since+d)
	}
	from := h.before(newest, to, w.start)
	if to <= from {
		return w, false
	}
	w.from, w.to = h.tick(from), h.tick(to)
	return w, w.from != nil && w.to != nil
}

// tick returns a tick, nil where it is overwritten: its reader was held up for long.
func (h *History) tick(seq int64) *historyTick {
	if t := h.ring[seq&h.mask].Load(); t.seq == seq {
		return t
	}
	return nil
}

func (h *History) sinceOf(seq int64) time.Duration {
	return time.Duration(h.since[seq&h.mask].Load())
}

// before returns the sequence number of the last tick at or before a moment, but
// none after high; where that is forgotten, of the oldest.
func (h *History) before(newest *historyTick, high int64, at time.Duration) int64 {
	low := max(newest.seq-h.ticks+1, 0)
	const near = 4 // spans are mostly short and of late
	for range near {
		if high <= low || h.sinceOf(high) <= at {
			return high
		}
		high--
	}
	if high <= low {
		return low
	}
	return h.search(low, high, at)
}

// search returns the last tick in [low, high] at or before a moment, or low.
// Ticks are regular, so that a guess is right or next to it; from there on it
// goes by halves.
func (h *History) search(low, high int64, at time.Duration) int64 {
	first, last := h.sinceOf(low), h.sinceOf(high)
	if last <= at {
		return high
	}
	if first >= at {
		return low
	}
	guess := low + int64(float64(high-low)*float64(at-first)/float64(last-first))
	for step := int64(1); high-low > 1; step *= 4 { // since[low] <= at < since[high]
		guess = min(max(guess, low+1), high-1)
		if h.sinceOf(guess) <= at {
			low = guess
			guess += step
		} else {
			high = guess
			guess -= step
		}
		if step > 4 {
			guess = (low + high) / 2
		}
	}
	return low
}
