// SPDX-License-Identifier: Apache-2.0

package sampler_test

import (
	"strconv"
	"testing"

	"github.com/gmpulse/gmpulse/runtimeinfo/sampler"
)

// The tick of a process with the most gauges allocates as often as that of one with one.
func TestGaugesCostNoAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates too")
	}
	cost := func(n int) float64 {
		r := sampler.NewReader(sampler.Config{})
		for i := range n {
			if _, err := r.AddGauge("gauge.n"+strconv.Itoa(i), "", "Help."); err != nil {
				t.Fatal(err)
			}
		}
		tick := sampler.Tick{Gauges: make([]float64, n)}
		return testing.AllocsPerRun(50, func() {
			r.Read(tick)
			r.Snapshot()
		})
	}
	if one, all := cost(1), cost(sampler.MaxGauges); all > one+1 {
		t.Errorf("%v allocations with one gauge, %v with %d", one, all, sampler.MaxGauges)
	}
}
