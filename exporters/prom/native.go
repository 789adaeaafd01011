// SPDX-License-Identifier: Apache-2.0

package prom

import (
	"math"
	"math/bits"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// A native histogram of Prometheus has exponential buckets: each bound is 2^(2^-schema) times the
// one before. A [runtimeinfo.Histogram] has explicit bounds. The conversion assumes what
// histogram_quantile assumes of the explicit buckets: observations are spread evenly over their
// bucket. So the cumulative counts of both are equal at every exponential bound, apart from
// rounding to whole observations, and a quantile is in the same exponential bucket.
const (
	// nativeSchema makes each bound 19 % greater than the one before (a factor of 2^(1/4)).
	nativeSchema = 2
	// maxNative limits the exponential buckets between the least and the greatest explicit bound,
	// like client_golang's NativeHistogramMaxBucketNumber. Bounds further apart than 2^40 get a
	// lower schema.
	maxNative = 160
	minSchema = -4 // Prometheus has none below
)

// native is the exponential form of a histogram.
type native struct {
	schema    int
	threshold float64 // upper bound of the zero bucket
	zero      uint64
	positive  map[int]int64 // by the index that Prometheus uses: bucket 0 has the upper bound 1
}

// newNative converts h. It returns nil if the bounds of h are negative, infinite or not
// ascending, or none is positive.
//
// Everything up to the largest exponential bound that is not greater than the least positive
// explicit bound is in the zero bucket. What is greater than the last explicit bound is in the
// bucket just above that bound: the values are unknown, and histogram_quantile returns the bound.
//
// No bucket decreases while the counts of h increase, which Prometheus would take for a restart.
func newNative(h *runtimeinfo.Histogram) *native {
	least := 0 // index of the least positive bound
	for least < len(h.Bounds) && h.Bounds[least] == 0 {
		least++
	}
	if least == len(h.Bounds) || !slices.IsSorted(h.Bounds) || !(h.Bounds[0] >= 0) || math.IsInf(h.Bounds[len(h.Bounds)-1], 1) {
		return nil
	}
	low, high := math.Log2(h.Bounds[least]), math.Log2(h.Bounds[len(h.Bounds)-1])
	n := &native{schema: nativeSchema, positive: map[int]int64{}}
	for n.schema > minSchema && math.Ldexp(high-low, n.schema) > maxNative {
		n.schema--
	}
	first := n.index(h.Bounds[least])
	if n.bound(first) > h.Bounds[least] {
		first--
	}
	n.threshold = n.bound(first)
	for i, count := range h.Counts {
		switch {
		case count == 0:
		case i < least:
			n.zero += count
		case i == len(h.Bounds):
			last := h.Bounds[i-1]
			n.positive[n.index(math.Nextafter(last, math.Inf(1)))] += int64(count)
		default:
			n.spread(first, lower(h, i), h.Bounds[i], count)
		}
	}
	return n
}

// lower returns the lower bound of a bucket that has a positive upper bound.
func lower(h *runtimeinfo.Histogram, bucket int) float64 {
	if bucket == 0 {
		return 0
	}
	return h.Bounds[bucket-1]
}

// bound returns the upper bound of the exponential bucket i.
func (n *native) bound(i int) float64 { return math.Exp2(math.Ldexp(float64(i), -n.schema)) }

// index returns the exponential bucket that v is in.
func (n *native) index(v float64) int {
	i := int(math.Ceil(math.Ldexp(math.Log2(v), n.schema)))
	if n.bound(i-1) >= v { // the logarithm was rounded up
		i--
	}
	return i
}

// spread adds the observations of an explicit bucket to the exponential buckets above the bound
// number first that it overlaps, and what is below that to the zero bucket.
func (n *native) spread(first int, low, high float64, count uint64) {
	i := first
	if low > n.threshold {
		i = n.index(low)
	}
	for placed := uint64(0); placed < count; i++ {
		upTo := count
		if share := (n.bound(i) - low) / (high - low); share < 1 {
			upTo = below(count, uint64(math.Ldexp(max(0, share), 64)))
		}
		if i == first {
			n.zero += upTo - placed
		} else if upTo > placed {
			n.positive[i] += int64(upTo - placed)
		}
		placed = upTo
	}
}

// below returns how many of the first n elements of the van der Corput sequence are less than
// x/2^64. The sequence is spread evenly over [0, 1) however many elements it has, so that the
// result differs from n·x/2^64 by a few observations at most, and each part of [0, 1) has at
// least as many elements of a longer sequence. Shares of n that are rounded can decrease.
func below(n, x uint64) (count uint64) {
	for rest := n; rest != 0; {
		k := bits.Len64(rest) - 1 // the next 2^k elements are 2^-k apart, and the first is offset
		rest &^= 1 << k
		if offset := bits.Reverse64(n >> k >> 1 << k << 1); x > offset {
			count += (x-offset-1)>>(64-k) + 1
		}
	}
	return count
}

// histogram is a metric with explicit and exponential buckets. The text formats have the explicit
// ones only. In protobuf a Prometheus that stores native histograms reads the exponential ones.
type histogram struct {
	prometheus.Metric // with explicit buckets

	native prometheus.Metric
}

// Write adds the exponential buckets to the explicit ones.
func (h histogram) Write(out *dto.Metric) error {
	if err := h.Metric.Write(out); err != nil {
		return err
	}
	var m dto.Metric
	if err := h.native.Write(&m); err != nil {
		return err
	}
	to, from := out.Histogram, m.Histogram
	to.Schema, to.ZeroThreshold, to.ZeroCount = from.Schema, from.ZeroThreshold, from.ZeroCount
	to.PositiveSpan, to.PositiveDelta = from.PositiveSpan, from.PositiveDelta
	return nil
}
