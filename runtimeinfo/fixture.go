// SPDX-License-Identifier: Apache-2.0

package runtimeinfo

// NewSnapshot returns a snapshot of the given points, for tests of exporters. Its catalogue has the
// metrics of the points, in the same order, and Seq is 1. A point whose number is NaN is absent. The
// caller may set the exported fields.
func NewSnapshot(points ...Point) *Snapshot {
	var metrics []*Metric
	known := map[*Metric]bool{}
	for _, p := range points {
		if !known[p.Metric] {
			known[p.Metric] = true
			metrics = append(metrics, p.Metric)
		}
	}
	b := NewBuilder(newCatalogue(metrics), Snapshot{Seq: 1})
	b.Merge(&Draft{points: points})
	return b.Snapshot()
}
