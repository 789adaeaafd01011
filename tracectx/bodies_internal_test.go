// SPDX-License-Identifier: Apache-2.0

package tracectx

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// The ages of a pair agree with a list of all open bodies: the same number, and an oldest body
// that is at most as old as the ages say, whose number is bounded.
func TestBodyPairAgreesWithAList(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var p bodyPair
		var open []time.Duration // in order
		now := time.Duration(0)
		leak := r.IntN(3) // 0: no body stays open
		for range 2000 {
			now += time.Duration(r.Int64N(int64(3 * time.Second)))
			p.add(now)
			open = append(open, now)
			for len(open) > 0 && r.IntN(20) >= leak {
				i := max(0, len(open)-1-r.IntN(5))
				p.remove(open[i])
				open = slices.Delete(open, i, i+1)
			}
			if len(p.ages) > maxBodyAges {
				t.Fatalf("%d ages", len(p.ages))
			}
			sum := 0
			for _, a := range p.ages {
				if sum += a.open; a.open < 0 {
					t.Fatalf("negative: %v", p.ages)
				}
			}
			oldest, ok := p.oldest()
			if p.open != len(open) || sum != len(open) || ok != (len(open) > 0) {
				t.Fatalf("%d open, %d in ages, want %d", p.open, sum, len(open))
			}
			if ok && oldest > open[0] {
				t.Fatalf("the oldest is of %v, want at most %v", oldest, open[0])
			}
			if ok && leak == 0 && open[0]-oldest > bodyAgeStep {
				t.Fatalf("the oldest is of %v, want about %v", oldest, open[0])
			}
		}
	}
}
