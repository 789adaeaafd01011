package tracectx

import (
	"math"
	"math/bits"
	"sync/atomic"
	"time"
)

// durationBuckets covers durations up to 2^40 µs, twelve days, a factor of two each.
const durationBuckets = 40

// durations counts the ended spans of one name by duration. One atomic add a span.
type durations struct {
	counts [durationBuckets]atomic.Uint64

	// What follows belongs to Observe.
	seen   [durationBuckets]uint64
	recent [durationBuckets]float64 // counts that fade with age
	total  float64                  // of recent
	ended  uint64
}

// add counts one span, by its length in nanoseconds. A negative one, of a clock
// that stepped back or of times the user chose, is the shortest.
func (d *durations) add(ns int64) {
	d.counts[bucketOf(ns)].Add(1)
}

// bucketOf returns the index of the bucket: bucket i holds lengths below 2^i µs.
func bucketOf(ns int64) int {
	return min(bits.Len64(uint64(max(ns, 0))/1000), durationBuckets-1)
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
	var total float64
	for i := range d.counts {
		n := d.counts[i].Load()
		if n > 0 { // else nothing ever ended in this bucket
			d.recent[i] = d.recent[i]*fade + float64(n-d.seen[i])
			d.ended += n - d.seen[i]
			d.seen[i] = n
			total += d.recent[i]
		}
	}
	d.total = total
}

// quantile returns the upper bound of the bucket that holds rank q, zero where
// nothing ended of late.
func (d *durations) quantile(q float64) time.Duration {
	const least = 0.5 // of one span, faded
	if d.total < least {
		return 0
	}
	var sum float64
	for i, n := range d.recent {
		if sum += n; sum >= q*d.total {
			return time.Microsecond << i
		}
	}
	return time.Microsecond << (durationBuckets - 1)
}
