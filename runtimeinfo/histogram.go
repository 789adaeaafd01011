// SPDX-License-Identifier: Apache-2.0

package runtimeinfo

// Histogram is a cumulative distribution with fixed buckets, as OpenTelemetry
// and Prometheus know it. It is immutable once it is part of a [Snapshot].
type Histogram struct {
	// Bounds are the upper bounds of all buckets but the last, ascending. The
	// last bucket has no upper bound. Shared between snapshots.
	Bounds []float64
	// Counts has one number per bucket: len(Bounds)+1. Not cumulative over buckets.
	Counts []uint64
	// Sum of all observations. The Go runtime keeps no sums: for what comes from
	// runtime/metrics it is estimated from the middle of each runtime bucket.
	Sum float64
	// Exemplars has the newest exemplar of each bucket, nil where there is none. It
	// is as long as Counts, or empty.
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
