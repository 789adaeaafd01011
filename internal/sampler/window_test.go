// SPDX-License-Identifier: Apache-2.0

package sampler

import (
	"math"
	"testing"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

func TestWindowQuantile(t *testing.T) {
	inf := math.Inf(1)
	bounds := []float64{-inf, 1, 2, 4, inf}
	var w window
	w.advance([]uint64{100, 100, 100, 100}, bounds) // before the agent started
	if w.total != 0 || !math.IsNaN(w.quantile(0.5)) || !math.IsNaN(w.quantile(1)) {
		t.Error("observations from before the first tick are counted")
	}
	w.advance([]uint64{100, 110, 110, 100}, bounds) // 10 in [1,2), 10 in [2,4)
	for q, want := range map[float64]float64{0.25: 1.5, 0.5: 2, 0.75: 3, 1: 4} {
		if got := w.quantile(q); got != want {
			t.Errorf("quantile %v is %v, want %v", q, got, want)
		}
	}
	w.advance([]uint64{101, 110, 110, 101}, bounds) // one in each open-ended bucket
	if lo, hi := w.quantile(0.5), w.quantile(1); lo != 1 || hi != 4 {
		t.Errorf("open-ended buckets give %v and %v, want their finite bounds 1 and 4", lo, hi)
	}
	w.advance([]uint64{0, 0, 1, 0}, bounds) // decreasing counts have no observations
	if w.total != 0 {
		t.Errorf("decreasing counts result in %d observations", w.total)
	}
}

// FuzzRebucket checks that no observation is lost and that bounds increase.
func FuzzRebucket(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4, 5})
	f.Fuzz(func(t *testing.T, data []byte) {
		bounds := []float64{math.Inf(-1)}
		var counts []uint64
		var want uint64
		at := 0.0
		for _, b := range data {
			at += float64(b%16+1) * 1e-7
			bounds = append(bounds, at)
			counts = append(counts, uint64(b))
			want += uint64(b)
		}
		bounds = append(bounds, math.Inf(1))
		counts = append(counts, 1)
		want++
		h := runtimeinfo.Histogram{Bounds: durationBounds()}
		rebucket(&h, counts, bounds)
		if h.Count() != want || len(h.Counts) != len(h.Bounds)+1 {
			t.Errorf("%d of %d observations in %d buckets", h.Count(), want, len(h.Counts))
		}
		if h.Sum < 0 || math.IsNaN(h.Sum) || math.IsInf(h.Sum, 0) {
			t.Errorf("sum %v", h.Sum)
		}
		for i := 1; i < len(h.Bounds); i++ {
			if h.Bounds[i] <= h.Bounds[i-1] {
				t.Errorf("bound %v after %v", h.Bounds[i], h.Bounds[i-1])
			}
		}
	})
}

func TestObserveCountsInItsBucket(t *testing.T) {
	h := runtimeinfo.Histogram{Bounds: []float64{1, 2}, Counts: make([]uint64, 3)}
	for _, v := range []float64{0.5, 1, 1.5, 2, 3, 4} {
		observe(&h, v)
	}
	if h.Counts[0] != 2 || h.Counts[1] != 2 || h.Counts[2] != 2 || h.Sum != 12 || h.Count() != 6 {
		t.Errorf("got %v, sum %v", h.Counts, h.Sum)
	}
}
