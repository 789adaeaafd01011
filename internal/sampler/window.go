// SPDX-License-Identifier: Apache-2.0

package sampler

import (
	"math"
	"slices"
	"sort"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// window has the observations of a runtime/metrics histogram since the last tick, in the runtime's
// 162 buckets.
type window struct {
	sample int       // index of the runtime's histogram among the samples
	bounds []float64 // len(counts)+1, may start with -Inf and end with +Inf
	last   []uint64
	delta  []uint64
	total  uint64
}

// advance sets the newest cumulative counts. The window is empty after the first call, because
// observations from before the start of the agent do not belong to a tick.
func (w *window) advance(counts []uint64, bounds []float64) {
	if len(w.last) != len(counts) {
		w.last = slices.Clone(counts)
		w.delta = make([]uint64, len(counts))
		w.bounds = slices.Clone(bounds)
	}
	w.total = 0
	for i, c := range counts {
		w.delta[i] = c - min(c, w.last[i]) // 0 if the count fell
		w.last[i] = c
		w.total += w.delta[i]
	}
}

// quantile returns the quantile q (0 to 1), interpolated within its bucket. It returns NaN, which
// means absent, if the window is empty.
func (w *window) quantile(q float64) float64 {
	if w.total == 0 {
		return math.NaN()
	}
	rank := q * float64(w.total)
	var seen float64
	for i, c := range w.delta {
		if c == 0 {
			continue
		}
		if seen+float64(c) >= rank {
			lo, hi := finite(w.bounds[i], w.bounds[i+1])
			return lo + (hi-lo)*(rank-seen)/float64(c)
		}
		seen += float64(c)
	}
	return math.NaN() // not reached: the last bucket has the rank of the total
}

// rebucket sets h to the sums of the runtime's buckets between the bounds of h. Each bound of h must
// be a bound of the runtime too, which a test checks.
func rebucket(h *runtimeinfo.Histogram, counts []uint64, bounds []float64) {
	if counts == nil {
		return // this version of Go does not have the histogram
	}
	if h.Counts == nil {
		h.Counts = make([]uint64, len(h.Bounds)+1)
	}
	clear(h.Counts)
	h.Sum = 0
	at := 0
	for i, c := range counts {
		lo, hi := finite(bounds[i], bounds[i+1])
		for at < len(h.Bounds) && hi > h.Bounds[at] {
			at++
		}
		if c > 0 {
			h.Counts[at] += c
			h.Sum += float64(c) * (lo + hi) / 2
		}
	}
}

// finite replaces an infinite bound of a bucket by the other bound, and a lower bound of minus
// infinity by zero, because durations are not negative.
func finite(lo, hi float64) (float64, float64) {
	if math.IsInf(lo, -1) {
		lo = min(0, hi)
	}
	if math.IsInf(hi, 1) {
		hi = lo
	}
	return lo, hi
}

// observe adds one observation to h.
func observe(h *runtimeinfo.Histogram, v float64) {
	h.Counts[bucket(h, v)]++
	h.Sum += v
}

// bucket returns the index of the bucket of h for v.
func bucket(h *runtimeinfo.Histogram, v float64) int { return sort.SearchFloat64s(h.Bounds, v) }
