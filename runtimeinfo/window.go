// SPDX-License-Identifier: Apache-2.0

package runtimeinfo

import (
	"math"
	"time"
)

// Moment is what a [History] knows of one tick.
type Moment struct{ tick *historyTick }

// Time is when the tick was.
func (m Moment) Time() time.Time { return m.tick.time }

// Goroutines is how many there were; NaN where the toolchain does not tell.
func (m Moment) Goroutines() float64 { return m.tick.numbers[colGoroutines] }

// Heap is the size of all heap objects, in bytes.
func (m Moment) Heap() float64 { return m.tick.numbers[colHeap] }

// Cycles is how many garbage collections there have been.
func (m Moment) Cycles() float64 { return m.tick.numbers[colCycles] }

// Roots is how many local root spans were active.
func (m Moment) Roots() int { return m.tick.roots }

// Window is what a [History] knows of a stretch of time. All of it is about the
// whole process: with ten requests in flight at once, each of them sees what all
// ten did, which is why [Window.Roots] belongs beside every number of it. What is
// not known is NaN. It is immutable.
type Window struct {
	history  *History
	from, to *historyTick
	start    time.Duration
}

// Ticks is how many ticks lie within the window, at least 1.
func (w Window) Ticks() int { return int(w.to.seq - w.from.seq) }

// Length is the time from the tick before the window to the last one within it:
// what the differences below were counted over.
func (w Window) Length() time.Duration { return w.to.since - w.from.since }

// Before is the tick before the window, and false where that is forgotten.
func (w Window) Before() (Moment, bool) { return Moment{w.from}, w.from.since <= w.start }

// Roots is the mean number of local root spans active at the ticks of the window.
func (w Window) Roots() float64 { return (w.to.rootSum - w.from.rootSum) / float64(w.Ticks()) }

// Pause is the time that the world stood still for garbage collection, in seconds.
func (w Window) Pause() float64 { return w.gained(colPause) }

// Cycles is how many garbage collections ended.
func (w Window) Cycles() float64 { return w.gained(colCycles) }

// Allocated is how many bytes were allocated on the heap.
func (w Window) Allocated() float64 { return w.gained(colAllocated) }

// CPU is the CPU time that the process used, in seconds.
func (w Window) CPU() float64 { return w.to.cpu - w.from.cpu }

// GoroutinesGained is how many goroutines more there were at the end.
func (w Window) GoroutinesGained() float64 { return w.gained(colGoroutines) }

// GoroutinesMax is how many goroutines there were at most at a tick. It looks at
// every tick of the window.
func (w Window) GoroutinesMax() float64 {
	most := math.NaN()
	for seq := w.to.seq; seq > w.from.seq; seq-- {
		t := w.history.tick(seq)
		if t == nil {
			break // overwritten meanwhile, and so are those before
		}
		if v := t.numbers[colGoroutines]; !(v <= most) { // also where most is NaN
			most = v
		}
	}
	return most
}

// Throttled is how long the control group kept the process from running, in
// seconds, within over. It comes from the host passes, which are rarer than
// ticks: over is the time between two of them, the last of which lies within the
// window. Zero over means that none does.
func (w Window) Throttled() (seconds float64, over time.Duration) {
	seconds = w.gained(colThrottled)
	if w.to.hostPass <= w.start || w.from.hostPass == math.MinInt64 || math.IsNaN(seconds) {
		return math.NaN(), 0
	}
	return seconds, w.to.hostPass - w.from.hostPass
}

// Latency is a quantile (0 to 1) of the time that goroutines were runnable before
// they ran, in seconds, interpolated within a bucket of the histogram, whose
// bounds are a factor of four apart. NaN where the runtime sampled none.
func (w Window) Latency(q float64) float64 {
	from, to := w.from.latency, w.to.latency
	if from == nil || to == nil || len(from.Counts) != len(to.Counts) {
		return math.NaN()
	}
	var total uint64
	for i, n := range to.Counts {
		total += n - from.Counts[i]
	}
	if total == 0 {
		return math.NaN()
	}
	rank, seen, low := q*float64(total), 0.0, 0.0
	for i, high := range to.Bounds {
		n := float64(to.Counts[i] - from.Counts[i])
		if n > 0 && seen+n >= rank {
			return low + (high-low)*(rank-seen)/n
		}
		seen += n
		low = high
	}
	return low // the last bucket has no upper bound
}

func (w Window) gained(c column) float64 { return w.to.numbers[c] - w.from.numbers[c] }
