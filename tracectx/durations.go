// SPDX-License-Identifier: Apache-2.0

package tracectx

import (
	"math"
	"math/bits"
	"sync/atomic"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

const (
	// durationParts is the number of buckets for each doubling of the duration.
	durationParts = 4
	// durationBuckets covers durations up to 2^40 µs, which is twelve days.
	durationBuckets = 39 * durationParts

	// halfLife is the time after which an ended span counts half in the quantiles.
	halfLife = 2 * time.Minute
	// negligible is the count below which a faded count becomes zero, long before it
	// is a subnormal number, on which arithmetic is slow.
	negligible = 1e-9
	// sharedFor is the time for which snapshots share a histogram. Package evidence, which keeps fifteen
	// minutes of snapshots, would otherwise keep a histogram for each second and name.
	sharedFor = 5 * time.Second
)

// durations is a histogram of the ended spans of one name.
type durations struct {
	counts [durationBuckets]atomic.Uint64
	time   atomic.Int64  // sum in nanoseconds
	errors atomic.Uint64 // spans with the status Error

	// Only Observe uses the following.
	seen   [durationBuckets]uint64 // counts at the last observation
	newest histogram               // spans that ended since the last observation
	recent histogram               // spans of the last minutes, see halfLife
	ended  uint64                  // all spans
	shared *runtimeinfo.Histogram  // the cumulative counts, see sharedFor
	made   int64                   // when shared was made, on the observer's clock
	stale  bool                    // spans ended since then
}

type histogram struct {
	counts [durationBuckets]float64
	total  float64
}

// bucketOf returns the bucket of a duration in nanoseconds. A negative duration, for
// example after the clock was set back, belongs to the first bucket. The first four
// buckets hold 0 to 3 µs; from there on, each doubling has four buckets of equal width.
func bucketOf(ns int64) uint8 {
	us := uint64(max(ns, 0)) / 1000
	if us < durationParts {
		return uint8(us)
	}
	doubling := bits.Len64(us) - 3 // of durationParts
	part := int(us>>doubling) % durationParts
	return uint8(min((doubling+1)*durationParts+part, durationBuckets-1))
}

// bucketEnd returns the upper bound of a bucket, which is exclusive.
func bucketEnd(i int) time.Duration {
	if i < durationParts {
		return time.Duration(i+1) * time.Microsecond
	}
	doubling, part := i/durationParts-1, i%durationParts
	return time.Duration(durationParts+part+1) << doubling * time.Microsecond
}

// fadeOf returns the factor by which counts shrink in a period of time.
func fadeOf(elapsed time.Duration) float64 {
	return math.Exp2(-float64(elapsed) / float64(halfLife))
}

// observe updates newest, recent and ended. The counts of recent shrink by the factor
// fade first.
func (d *durations) observe(fade float64) {
	d.newest.total, d.recent.total = 0, 0
	before := d.ended
	for i := range d.counts {
		n := d.counts[i].Load()
		if n == 0 {
			continue
		}
		ended := n - d.seen[i]
		d.seen[i] = n
		d.ended += ended
		d.newest.set(i, float64(ended))
		d.recent.set(i, d.recent.counts[i]*fade+float64(ended))
	}
	d.stale = d.stale || d.ended != before
}

// histogram returns the durations of all spans, at the last observation or up to sharedFor before it. The
// bounds reach from the first to the last bucket in use, in a slice that all names share.
func (d *durations) histogram(bounds []float64, elapsed int64) *runtimeinfo.Histogram {
	if d.ended == 0 || d.shared != nil && (!d.stale || elapsed-d.made < int64(sharedFor)) {
		return d.shared
	}
	d.made, d.stale = elapsed, false
	first, last := 0, durationBuckets-1
	for d.seen[first] == 0 {
		first++
	}
	for d.seen[last] == 0 {
		last--
	}
	counts := make([]uint64, last-first+2)
	copy(counts, d.seen[first:last+1])
	d.shared = &runtimeinfo.Histogram{Bounds: bounds[first : last+1], Counts: counts, Sum: time.Duration(d.time.Load()).Seconds()}
	return d.shared
}

// durationBounds returns the upper bounds of all buckets in seconds.
func durationBounds() []float64 {
	bounds := make([]float64, durationBuckets)
	for i := range bounds {
		bounds[i] = bucketEnd(i).Seconds()
	}
	return bounds
}

func (h *histogram) set(bucket int, n float64) {
	if n < negligible {
		n = 0
	}
	h.counts[bucket] = n
	h.total += n
}

// quantiles returns the upper bounds of the buckets that hold the median and the 99th
// percentile. Both are zero if the histogram has less than half a span.
func (h *histogram) quantiles() (p50, p99 time.Duration) {
	if h.total < 0.5 {
		return 0, 0
	}
	var sum float64
	for i, n := range h.counts {
		sum += n
		if p50 == 0 && sum >= 0.5*h.total {
			p50 = bucketEnd(i)
		}
		if sum >= 0.99*h.total {
			return p50, bucketEnd(i)
		}
	}
	return p50, bucketEnd(durationBuckets - 1)
}
