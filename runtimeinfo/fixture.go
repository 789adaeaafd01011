// SPDX-License-Identifier: Apache-2.0

package runtimeinfo

import "math"

// NewSnapshot makes a snapshot by hand, for testing an exporter without a live
// runtime. Its catalogue is the metrics of the points, in the order given. Set the
// exported fields afterwards.
func NewSnapshot(points ...Point) *Snapshot {
	var metrics []*Metric
	known := map[*Metric]bool{}
	for _, p := range points {
		if !known[p.Metric] {
			known[p.Metric] = true
			metrics = append(metrics, p.Metric)
		}
	}
	b := NewBuilder(newCatalogue(metrics), Snapshot{Seq: 1}, nil)
	b.Merge(&Draft{points: points})
	return b.Snapshot()
}

// Absent is the number that makes a point absent in [NewSnapshot].
func Absent() float64 { return math.NaN() }
