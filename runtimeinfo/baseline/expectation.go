// SPDX-License-Identifier: Apache-2.0

package baseline

import "math"

// bounds is the expected range of a signal, and the expected value, in e-folds.
type bounds struct{ lower, value, upper float64 }

// expectation returns what is expected of the newest value. Without an alarm that is the range of a
// single sample. During one it is the expectation that the signal has exceeded, whose upper bound is
// lower: a run of samples is an anomaly although each of them alone would be normal.
func (t *tracker) expectation() bounds {
	fast := t.fast.expected
	single := bounds{fast + t.lower, fast, fast + t.upper}
	switch t.cause {
	case causeSudden:
		single.upper = fast + t.Fast.winning(fastScale(), t.tolerance)
	case causeCreep:
		slow := t.Slow.Curve.expect(t.load, t.growth).value
		lower, _ := t.Slow.band(slowScale(), t.creep)
		return bounds{slow + lower, slow, slow + t.Slow.winning(slowScale(), t.creep)}
	case causeRarity:
		usual := t.fold(t.rareUsual)
		return bounds{usual - t.tolerance, usual, usual + t.tolerance}
	case causeCeiling:
		const below = 1e-9 // a value at the ceiling has reached it
		single.upper = min(fast+t.Fast.winning(fastScale(), t.tolerance), t.fold(t.ceiling)-below)
		single.lower = min(single.lower, single.upper)
	case causeNone:
	}
	return single
}

// winning returns the residual from which on a sample is evidence of an anomaly.
func (c *cusum) winning(scale timeScale, tolerance float64) float64 {
	few := int32(winningShare()*float64(c.Seen.N+1) - 0.5)
	return max(tolerance, (float64(c.Seen.UpperEdge(few)-zeroRung)-0.5)*scale.rung)
}

// winningShare returns the share of residuals that are as high from which on a sample loses its bet.
func winningShare() float64 { return math.Pow(betExponent, 1/(1-betExponent)) }

// loadOf returns the load under which a signal is judged.
func (w *Watch) loadOf(t *tracker) *average {
	if r := w.roots[t.root]; r != nil {
		return &r.load
	}
	return &w.load
}
