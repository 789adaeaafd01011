// SPDX-License-Identifier: Apache-2.0

package baseline

import (
	"math"
	"slices"
)

// unitGuard recognises that a signal of the application's own has changed its
// unit: all at once it is a thousand times what it was, and otherwise the same.
type unitGuard struct {
	first  []float64 // magnitudes, until the scale is found
	sum    float64
	square float64
	n      int
	passed bool // it was looked at and is no change of unit
}

const (
	suspicious  = 3.0 // e-folds: twenty times as much, or as little
	unitSamples = 10
)

// unitRatios are those between units that people use.
func unitRatios() [7]float64 {
	return [...]float64{60, 100, 1000, 1024, 3600, 1e6, 1e9}
}

// scale takes one of the first values of a signal about which nothing is known
// beforehand, and returns what is small for it once it has seen enough: a twentieth
// of the median. Zero until then.
func (u *unitGuard) scale(v float64) float64 {
	const enough = 60
	if u.first = append(u.first, math.Abs(v)); len(u.first) < enough {
		return 0
	}
	slices.Sort(u.first)
	median := u.first[enough/2]
	u.first = nil
	const least = 1e-200
	if median < least {
		return 1
	}
	return min(median, 1/least) / 20
}

// guard takes a value. While it wonders, the value is held back from the evidence;
// when the unit has changed it adapts the tracker's scale and says so.
func (u *unitGuard) guard(t *tracker, v float64) (hold, changed bool) {
	r := math.Log(math.Abs(v / t.unfold(t.opinion.expected)))
	if !t.opinion.known || !(math.Abs(r) >= suspicious) || math.IsInf(r, 0) {
		*u = unitGuard{}
		return false, false
	}
	if u.passed {
		return false, false
	}
	u.sum += r
	u.square += r * r
	if u.n++; u.n < unitSamples {
		return true, false
	}
	by := u.sum / unitSamples
	deviation := math.Sqrt(max(0, u.square/unitSamples-by*by))
	for _, ratio := range unitRatios() {
		if deviation < 0.3 && math.Abs(math.Abs(by)-math.Log(ratio)) < 0.15 {
			t.Scale *= math.Exp(math.Copysign(math.Log(ratio), by))
			*u = unitGuard{}
			return true, true
		}
	}
	*u = unitGuard{passed: true}
	return false, false
}
