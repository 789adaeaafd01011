// SPDX-License-Identifier: Apache-2.0

package testutil

import (
	"math"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/internal/cputime"
)

// Linear checks that the cost of work is at most proportional to n, with [LinearCost] and the CPU
// time of its own thread. prepare returns the work for an input of size n.
func Linear(tb testing.TB, small int, prepare func(n int) (work func())) {
	tb.Helper()
	LinearCost(tb, small, func(n int) func() time.Duration {
		work := prepare(n)
		return func() time.Duration {
			m := cputime.Start()
			work()
			return m.Stop()
		}
	})
}

// LinearCost checks that a cost is at most proportional to n. It compares small with 16 times
// small: what is linear costs 16 times as much, what is quadratic 256 times. Anything up to 80
// times passes, because a larger input leaves the caches of the CPU. prepare returns a function
// that does the work for an input of size n and returns its cost. LinearCost calls it several
// times; small should cost 50 µs or more.
//
// Other processes only add to a cost. So LinearCost measures both sizes alternately and takes the
// least of several costs, and it fails only if three such comparisons do. The race detector has costs
// of its own, so the test is skipped; the gate runs tests with Linear in their name without it.
func LinearCost(tb testing.TB, small int, prepare func(n int) (cost func() time.Duration)) {
	tb.Helper()
	if RaceEnabled {
		tb.Skip("the race detector has costs of its own")
	}
	const factor, tolerance, tries, attempts = 16, 5, 5, 3
	var one, many time.Duration
	for range attempts {
		few, lots := prepare(small), prepare(factor*small)
		one, many = math.MaxInt64, math.MaxInt64
		for range tries {
			one, many = min(one, few()), min(many, lots())
		}
		one = max(one, 50*time.Microsecond) // less is mostly noise
		if many <= factor*tolerance*one {
			tb.Logf("%.1f times the cost for %d times as much", float64(many)/float64(one), factor)
			return
		}
	}
	tb.Errorf("%d cost %v and %d cost %v, %.0f times as much", small, one, factor*small, many, float64(many)/float64(one))
}
