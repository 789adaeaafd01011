// SPDX-License-Identifier: Apache-2.0

package tracectx

import (
	"math"
	"time"
)

// window has the values of a [History] between two ticks. All of them refer to the whole
// process: if ten requests run at once, each has the values of all ten. Unknown values are NaN. A
// window is immutable.
type window struct {
	ticks []historyTick // the tick before the window, and those in it
	start time.Duration
}

func (w window) from() *historyTick { return &w.ticks[0] }

func (w window) to() *historyTick { return &w.ticks[len(w.ticks)-1] }

// count returns the number of ticks in the window, at least 1.
func (w window) count() int { return len(w.ticks) - 1 }

// length returns the time from the tick before the window to the last one in it, to which the
// differences refer.
func (w window) length() time.Duration { return w.to().since - w.from().since }

// before returns the tick before the window, and false if the History no longer has it.
func (w window) before() (*historyTick, bool) { return w.from(), w.from().since <= w.start }

// roots returns the mean number of active local roots at the ticks of the window.
func (w window) roots() float64 { return (w.to().rootSum - w.from().rootSum) / float64(w.count()) }

// cpu returns the CPU time of the process in seconds.
func (w window) cpu() float64 { return w.to().cpu - w.from().cpu }

// gained returns the change of a number.
func (w window) gained(c column) float64 { return w.to().numbers[c] - w.from().numbers[c] }

// goroutinesMax returns the highest number of goroutines at a tick. It takes time proportional to
// the number of ticks.
func (w window) goroutinesMax() float64 {
	most := math.NaN()
	for i := range w.ticks[1:] {
		if v := w.ticks[1+i].numbers[colGoroutines]; !(v <= most) { // also if most is NaN
			most = v
		}
	}
	return most
}

// throttled returns how many seconds the CPU quota of the control group stopped the process
// within the time over. The value comes from host passes, which are less frequent than ticks: over
// is the time between two of them, the last of which is in the window. It is 0 if none is.
func (w window) throttled() (seconds float64, over time.Duration) {
	seconds = w.gained(colThrottled)
	if w.to().hostPass <= w.start || w.from().hostPass == math.MinInt64 || math.IsNaN(seconds) {
		return math.NaN(), 0
	}
	return seconds, w.to().hostPass - w.from().hostPass
}

// schedLatency returns a quantile (0 to 1) of the time in seconds that goroutines were runnable before
// they ran. It interpolates within a bucket of the histogram, whose bounds are a factor of four
// apart. It returns NaN if the runtime sampled nothing.
func (w window) schedLatency(q float64) float64 {
	from, to := w.from().latency, w.to().latency
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
