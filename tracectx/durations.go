package tracectx

import (
	"math"
	"math/bits"
	"sync/atomic"
	"time"
)

const (
	// durationParts is how many buckets there are for each doubling of the duration.
	durationParts = 4
	// durationBuckets covers durations up to 2^40 µs, twelve days.
	durationBuckets = 39 * durationParts
)

// durations counts the ended spans of one name by duration. One atomic add a span.
type durations struct {
	counts [durationBuckets]atomic.Uint64

	// What follows belongs to Observe.
	seen   [durationBuckets]uint64
	newest [durationBuckets]float64 // since the observation before
	recent [durationBuckets]float64 // counts that fade with age
	ended  uint64
}

// add counts one span, by its length in nanoseconds. A negative one, of a clock
// that stepped back or of times the user chose, is the shortest.
func (d *durations) add(ns int64) {
	d.counts[bucketOf(ns)].Add(1)
}

// bucketOf returns the index of the bucket. The first four hold 0 to 3 µs; from
// there on each doubling has four of equal width.
func bucketOf(ns int64) int {
	us := uint64(max(ns, 0)) / 1000
	if us < durationParts {
		return int(us)
	}
	doubling := bits.Len64(us) - 3 // of durationParts
	part := int(us>>doubling) % durationParts
	return min((doubling+1)*durationParts+part, durationBuckets-1)
}

// bucketEnd is the least duration that lies above the bucket.
func bucketEnd(i int) time.Duration {
	if i < durationParts {
		return time.Duration(i+1) * time.Microsecond
	}
	doubling, part := i/durationParts-1, i%durationParts
	return time.Duration(durationParts+part+1) << doubling * time.Microsecond
}

// halfLife is how long an ended span counts fully: quantiles are of the last few
// minutes.
const halfLife = 2 * time.Minute

// fadeOf returns what is left of a count after that time.
func fadeOf(elapsed time.Duration) float64 {
	return math.Exp2(-float64(elapsed) / float64(halfLife))
}

// observe takes the counts over; fade is for the time since it did so last.
func (d *durations) observe(fade float64) {
	for i := range d.counts {
		n := d.counts[i].Load()
		if n > 0 { // else nothing ever ended in this bucket
			d.newest[i] = float64(n - d.seen[i])
			d.recent[i] = d.recent[i]*fade + d.newest[i]
			d.ended += n - d.seen[i]
			d.seen[i] = n
		}
	}
}

// quantiles returns the upper bounds of the buckets that hold the median and the
// 99th percentile, zero where nothing ended.
func quantiles(counts *[durationBuckets]float64) (p50, p99 time.Duration) {
	var total float64
	for _, n := range counts {
		total += n
	}
	const least = 0.5 // of one span, faded
	if total < least {
		return 0, 0
	}
	var sum float64
	for i, n := range counts {
		sum += n
		if p50 == 0 && sum >= 0.5*total {
			p50 = bucketEnd(i)
		}
		if sum >= 0.99*total {
			return p50, bucketEnd(i)
		}
	}
	return p50, bucketEnd(durationBuckets - 1)
}
