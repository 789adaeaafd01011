// SPDX-License-Identifier: Apache-2.0

package sampler_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo"
	"github.com/gmpulse/gmpulse/runtimeinfo/sampler"
)

// TestLabelsOfManySnapshots: values with labels come out of blocks of memory that
// grow and shrink with what there is; none of them changes afterwards.
func TestLabelsOfManySnapshots(t *testing.T) {
	r := sampler.NewReader(sampler.Config{})
	var snapshots []*runtimeinfo.Snapshot
	sizes := []int{0, 1, 40, 3, 0, 100, 99, 101}
	for i, n := range sizes {
		tick := sampler.Tick{Time: time.Now()}
		for e := range n {
			tick.Self.Exporters = append(tick.Self.Exporters, runtimeinfo.ExporterStats{Name: fmt.Sprint(i, "-", e), Errors: uint64(1000*i + e)})
		}
		r.Read(tick)
		snapshots = append(snapshots, r.Snapshot())
	}
	for i, s := range snapshots {
		found := 0
		for p := range s.Points() {
			if p.Metric.Name == "gmpulse.exporter.failures" && slices.Contains(p.Labels, "error") {
				if len(p.Labels) != 2 || p.Labels[0] != fmt.Sprint(i, "-", found) || p.Number != float64(1000*i+found) {
					t.Errorf("snapshot %d: %v is %v", i, p.Labels, p.Number)
				}
				if cap(p.Labels) != len(p.Labels) {
					t.Errorf("snapshot %d: an append to %v would change another's labels", i, p.Labels)
				}
				found++
			}
		}
		if found != sizes[i] {
			t.Errorf("snapshot %d has %d exporters, want %d", i, found, sizes[i])
		}
	}
}
