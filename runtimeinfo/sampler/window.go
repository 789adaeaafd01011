// SPDX-License-Identifier: Apache-2.0

package sampler

import (
	"math"
	"slices"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// window holds the distribution of what one runtime/metrics histogram gained
// since the last tick, at the runtime's own resolution of 162 buckets.
type window struct {
	sample int       // index of the runtime's histogram among the samples
	bounds []float64 // len(counts)+1, may start with -Inf and end with +Inf
	last   []uint64
	delta  []uint64
	total  uint64
}

// advance takes the newest cumulative counts. The first call only remembers:
// what happened before the agent started belongs to no tick.
func (w *window) advance(counts []uint64, bounds []float64) {
	if len(w.last) != len(counts) {
		w.last = slices.Clone(counts)
		w.delta = make([]uint64, len(counts))
		w.bounds = slices.Clone(bounds)
	}
	// Locals, for the bounds checks: they save an eighth of a whole sample.
	last, delta := w.last[:len(counts)], w.delta[:len(counts)]
	var total uint64
	for i, c := range counts {
		gained := c - min(c, last[i]) // a count that fell gained nothing
		delta[i], last[i] = gained, c
		total += gained
	}
	w.total = total
}

// quantile interpolates within the bucket that holds rank q (0 to 1). It is
// NaN, that is absent, where nothing happened in the window.
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
	return w.max()
}

// max is the upper edge of the highest bucket hit: the true maximum is at most that.
func (w *window) max() float64 {
	for i, n := range slices.Backward(w.delta) {
		if n > 0 {
			_, hi := finite(w.bounds[i], w.bounds[i+1])
			return hi
		}
	}
	return math.NaN()
}

// rebucket makes h the sum of the runtime's buckets that lie between its own
// bounds. A runtime bucket that spans one of them counts above it; ours are all
// bounds of the runtime too (a test says so), so that nothing is misplaced.
func rebucket(h *runtimeinfo.Histogram, counts []uint64, bounds []float64) {
	if counts == nil {
		return // a toolchain that lacks it
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

// finite replaces an infinite edge of a bucket by its other edge, and a lower
// edge of minus infinity by zero: durations are not negative.
func finite(lo, hi float64) (float64, float64) {
	if math.IsInf(lo, -1) {
		lo = min(0, hi)
	}
	if math.IsInf(hi, 1) {
		hi = lo
	}
	return lo, hi
}

// observe adds one observation to h, O(buckets).
func observe(h *runtimeinfo.Histogram, v float64) {
	h.Counts[bucket(h, v)]++
	h.Sum += v
}

// bucket returns the index of the bucket of h that v belongs to.
func bucket(h *runtimeinfo.Histogram, v float64) int {
	i := 0
	for i < len(h.Bounds) && v > h.Bounds[i] {
		i++
	}
	return i
}
