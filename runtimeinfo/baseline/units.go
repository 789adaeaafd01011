// SPDX-License-Identifier: Apache-2.0

package baseline

import (
	"math"
	"slices"
)

// unitGuard detects that a gauge of the application has changed its unit: its values jump by
// a typical factor, for example 1000, and are otherwise the same.
type unitGuard struct {
	first  []float64 // magnitudes, until the scale is known
	sum    float64   // of the logarithms of the ratio to the expected value
	square float64
	n      int
	passed bool // the jump is not a change of unit
}

// unitRatios returns the ratios of common units.
func unitRatios() [7]float64 {
	return [...]float64{60, 100, 1000, 1024, 3600, 1e6, 1e9}
}

// scale returns a twentieth of the median of the first values, or 0 while there are too few.
func (u *unitGuard) scale(v float64) float64 {
	const samples = 60
	if u.first = append(u.first, math.Abs(v)); len(u.first) < samples {
		return 0
	}
	slices.Sort(u.first)
	median := u.first[samples/2]
	u.first = nil
	const least = 1e-200
	if median < least {
		return 1
	}
	return min(median, 1/least) / 20
}

// check examines a value. hold means that the value must not count as evidence yet. changed
// means that the unit has changed; check has adapted t.Scale.
func (u *unitGuard) check(t *tracker, v float64) (hold, changed bool) {
	const (
		suspicious = 3.0 // e-folds, a factor of 20
		samples    = 10
	)
	r := math.Log(math.Abs(v / t.unfold(t.fast.expected)))
	if !t.fast.known || !(math.Abs(r) >= suspicious) || math.IsInf(r, 0) {
		*u = unitGuard{}
		return false, false
	}
	if u.passed {
		return false, false
	}
	u.sum += r
	u.square += r * r
	if u.n++; u.n < samples {
		return true, false
	}
	mean := u.sum / samples
	deviation := math.Sqrt(max(0, u.square/samples-mean*mean))
	for _, ratio := range unitRatios() {
		if deviation < 0.3 && math.Abs(math.Abs(mean)-math.Log(ratio)) < 0.15 {
			t.Scale *= math.Exp(math.Copysign(math.Log(ratio), mean))
			*u = unitGuard{}
			return true, true
		}
	}
	*u = unitGuard{passed: true}
	return false, false
}
