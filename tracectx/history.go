// SPDX-License-Identifier: Apache-2.0

package tracectx

import (
	"math"
	"sort"
	"sync/atomic"
	"time"

	"github.com/gmpulse/gmpulse/internal/cputime"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// defaultHistory is the default number of ticks in a [History]: ten minutes at the default
// interval.
const defaultHistory = 600

// History stores process-wide values of the last ticks, for the enrichment of spans and log
// records. Use [NewHistory] to make one.
//
// A History is an analyzer: engine.WithAnalyzer registers it, and the engine calls
// [History.Analyze] with each snapshot. [History.Add] is for snapshots from elsewhere. The two must
// not be called concurrently; the readers of a History run on any goroutine and take no lock. Add
// takes about 1.6 µs and one allocation, a lookup about 0.1 µs and none (BenchmarkHistory).
type History struct {
	limit int // how many ticks can be looked up
	ticks atomic.Pointer[[]historyTick]
}

// historyTick has the values of one tick. All of them refer to the whole process. It is immutable.
type historyTick struct {
	time     time.Time           // with a monotonic reading
	since    time.Duration       // monotonic time since the first tick
	hostPass time.Duration       // monotonic time from the first tick to the host pass
	roots    int                 // active local roots
	rootSum  float64             // sum of roots over all ticks up to this one
	cpu      float64             // CPU seconds of the process; NaN if unknown
	numbers  [numColumns]float64 // NaN if unknown
	latency  *runtimeinfo.Histogram
}

// column identifies a number of a tick that is the value of a metric.
type column int

const (
	colGoroutines column = iota
	colHeap              // bytes of heap objects
	colPause             // seconds of stop-the-world pauses for garbage collection, since the process started
	colCycles            // GC cycles that ended, since the process started
	colAllocated         // bytes allocated on the heap, since the process started
	colThrottled         // seconds for which the CPU quota stopped the process
	colHostAge           // seconds since the host pass
	numColumns
)

// columnKeys returns the keys of the metrics.
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

const keyLatency = "go.schedule.duration"

// NewHistory returns a History of the given number of ticks. 0 or less means 600.
func NewHistory(ticks int) *History {
	if ticks <= 0 {
		ticks = defaultHistory
	}
	h := &History{limit: ticks}
	h.ticks.Store(new([]historyTick))
	return h
}

// Metrics returns nil: a History adds no metrics.
func (*History) Metrics() []*runtimeinfo.Metric { return nil }

// Analyze adds the snapshot of d to the History.
func (h *History) Analyze(d *runtimeinfo.Draft) { h.Add(d.Snapshot()) }

// Add adds the values of s and overwrites the oldest ones. s.Time should come from time.Now, so
// that changes of the wall clock have no effect. A snapshot that is not later than the previous
// one is ignored. Add does not keep s.
func (h *History) Add(s *runtimeinfo.Snapshot) {
	t := historyTick{time: s.Time, roots: activeRoots(s), cpu: math.NaN()}
	if cpu := cputime.Process(); cpu > 0 {
		t.cpu = cpu.Seconds()
	}
	t.rootSum = float64(t.roots)
	if last := h.newest(); last != nil {
		t.since = last.since + s.Time.Sub(last.time)
		t.rootSum += last.rootSum
		if t.since <= last.since {
			return
		}
	}
	for c, key := range columnKeys() {
		v, ok := s.Number(key)
		if !ok {
			v = math.NaN()
		}
		t.numbers[c] = v
	}
	t.latency = s.Histogram(keyLatency)
	t.hostPass = math.MinInt64
	if age := t.numbers[colHostAge]; !math.IsNaN(age) {
		t.hostPass = t.since - time.Duration(age*float64(time.Second))
	}
	ticks := *h.ticks.Load()
	if n := len(ticks); n == cap(ticks) { // with room to spare, so that most calls copy nothing
		ticks = append(make([]historyTick, 0, h.limit+h.limit/4+1), ticks[max(0, n-h.limit):]...)
	}
	ticks = append(ticks, t) // no reader sees elements behind its length
	h.ticks.Store(&ticks)
}

func activeRoots(s *runtimeinfo.Snapshot) (n int) {
	for i := range s.SpanGroups {
		n += s.SpanGroups[i].Active
	}
	return n
}

// newest returns the newest tick, or nil before the first.
func (h *History) newest() *historyTick {
	ticks := *h.ticks.Load()
	if len(ticks) == 0 {
		return nil
	}
	return &ticks[len(ticks)-1]
}

// window returns the values between start and end. It contains the ticks in that time and begins
// with the last tick before it, or with the oldest tick if start is older. It returns false if no
// tick, or only the oldest one, is in that time.
//
// Times with a monotonic reading, such as the SDK sets in spans, are compared by it. Others
// are compared with the wall clock at the newest tick.
func (h *History) window(start, end time.Time) (w window, ok bool) {
	ticks := *h.ticks.Load()
	ticks = ticks[max(0, len(ticks)-h.limit):]
	if len(ticks) == 0 {
		return w, false
	}
	newest := &ticks[len(ticks)-1]
	w.start = newest.since + min(start.Sub(newest.time), 0) // there are no ticks after the newest
	ticks = ticks[:before(ticks, newest.since+min(end.Sub(newest.time), 0))+1]
	w.ticks = ticks[before(ticks, w.start):]
	return w, len(w.ticks) > 1
}

// before returns the index of the last tick that is not after the time at, or 0 if all are after it.
func before(ticks []historyTick, at time.Duration) int {
	n := sort.Search(len(ticks), func(i int) bool { return ticks[i].since > at })
	return max(0, n-1)
}
