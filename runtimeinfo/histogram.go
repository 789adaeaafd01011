// SPDX-License-Identifier: Apache-2.0

package runtimeinfo

// Histogram is a cumulative histogram with fixed buckets, as in OpenTelemetry and Prometheus. It is
// immutable once it is part of a [Snapshot].
type Histogram struct {
	// Bounds are the ascending upper bounds of all buckets except the last, which has none.
	// Snapshots share the slice.
	Bounds []float64
	// Counts has the number of observations in each bucket. Its length is len(Bounds)+1.
	Counts []uint64
	// Sum is the sum of all observations. For histograms of runtime/metrics, which have no sums,
	// it is estimated from the middle of each runtime bucket.
	Sum float64
	// Exemplars has the newest exemplar of each bucket, or nil for a bucket without one. It is as
	// long as Counts, or empty.
	Exemplars []*Exemplar
}

// Count returns the number of observations.
func (h *Histogram) Count() uint64 {
	var n uint64
	for _, c := range h.Counts {
		n += c
	}
	return n
}
