// SPDX-License-Identifier: Apache-2.0

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

// durations counts the ended spans of one name by duration.
type durations struct {
	counts [durationBuckets]atomic.Uint64
	some   [(durationBuckets + 63) / 64]atomic.Uint64 // bit i: counts[i] is not zero

	// What follows belongs to Observe.
	used   []uint8 // the buckets in which spans ever ended, in order
	seen   [durationBuckets]uint64
	newest tail // since the observation before
	recent tail // counts that fade with age
	ended  uint64
}

// A tail is counts of durations, and their sum.
type tail struct {
	counts [durationBuckets]float64
	total  float64
}

// add counts n spans that ended in one bucket.
func (d *durations) add(bucket uint8, n uint32) {
	d.counts[bucket].Add(uint64(n))
	if some, bit := &d.some[bucket/64], uint64(1)<<(bucket%64); some.Load()&bit == 0 {
		some.Or(bit)
	}
}

// bucketOf returns the index of the bucket, for a length in nanoseconds. A negative
// one, of a clock that stepped back or of times the user chose, is the shortest. The
// first four hold 0 to 3 µs; from there on each doubling has four of equal width.
func bucketOf(ns int64) uint8 {
	us := uint64(max(ns, 0)) / 1000
	if us < durationParts {
		return uint8(us)
	}
	doubling := bits.Len64(us) - 3 // of durationParts
	part := int(us>>doubling) % durationParts
	return uint8(min((doubling+1)*durationParts+part, durationBuckets-1))
}

// bucketEnd is the least duration that lies above the bucket.
func bucketEnd(i uint8) time.Duration {
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
	d.findUsed()
	d.newest.total, d.recent.total = 0, 0
	for _, i := range d.used {
		n := d.counts[i].Load()
		ended := n - d.seen[i]
		d.seen[i] = n
		d.ended += ended
		d.newest.set(i, float64(ended))
		d.recent.set(i, d.recent.counts[i]*fade+float64(ended))
	}
}

// findUsed sees to it that the list of buckets is complete.
func (d *durations) findUsed() {
	n := 0
	for i := range d.some {
		n += bits.OnesCount64(d.some[i].Load())
	}
	if n == len(d.used) {
		return
	}
	d.used = d.used[:0]
	for i := range uint8(durationBuckets) {
		if d.some[i/64].Load()>>(i%64)&1 == 1 {
			d.used = append(d.used, i)
		}
	}
}

// negligible is when a count has faded away: before it is so small that the
// processor takes its time over it.
const negligible = 1e-9

func (t *tail) set(bucket uint8, n float64) {
	if n < negligible {
		n = 0
	}
	t.counts[bucket] = n
	t.total += n
}

// quantiles returns the upper bounds of the buckets that hold the median and the
// 99th percentile, zero where nothing ended. used are the buckets that may count, in order.
func (t *tail) quantiles(used []uint8) (p50, p99 time.Duration) {
	const least = 0.5 // of one span, faded
	if t.total < least {
		return 0, 0
	}
	var sum float64
	for _, i := range used {
		sum += t.counts[i]
		if p50 == 0 && sum >= 0.5*t.total {
			p50 = bucketEnd(i)
		}
		if sum >= 0.99*t.total {
			return p50, bucketEnd(i)
		}
	}
	return p50, bucketEnd(durationBuckets - 1)
}
