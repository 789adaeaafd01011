// SPDX-License-Identifier: Apache-2.0

// Package abtest compares a quantity before and after a change, from measurements over consecutive
// blocks of time, and separates differences from noise.
//
// Each quantity is a ratio of two sums over the blocks of a run, such as CPU seconds per request. The
// variance of a ratio comes from its residuals, block by block (the linearization of a ratio estimator,
// Cochran, Sampling Techniques, 3rd edition, 6.3). Consecutive blocks are not independent: a neighbour
// on the machine or a cycle of the garbage collector lasts for several of them. The variance of the
// mean of the residuals is therefore estimated from their slow variation only, by the equal-weighted
// cosine estimator with Student's t as its distribution (Lazarus, Lewis, Stock, Watson: HAR Inference:
// Recommendations for Practice, Journal of Business & Economic Statistics 36, 2018). Two runs are
// compared on the logarithmic scale, as in Welch's t-test, or block by block if they ran at the same time.
package abtest

import (
	"cmp"
	"math"
	"slices"
)

// Block is what was measured in one block of time, for example CPU seconds and requests.
type Block struct{ Y, X float64 }

// MinBlocks is the minimum number of blocks of an [Estimate].
const MinBlocks = 6

// Estimate is the ratio of two sums over all blocks of a run.
type Estimate struct {
	Value float64
	// Error is the standard error of Value, and Freedom its degrees of freedom. Freedom is 0 if
	// there are fewer than MinBlocks blocks or X is never positive; Error is then unknown.
	Error, Freedom float64
}

// Ratio estimates the ratio of the sum of Y to the sum of X. waves is the number of cosines that make
// up the slow variation of the blocks; their periods are twice the length of the run, divided by 1, 2
// and so on up to waves. Variation that is faster is assumed to be as strong as at these periods, or
// weaker.
func Ratio(blocks []Block, waves int) Estimate {
	var y, x float64
	for _, b := range blocks {
		y, x = y+b.Y, x+b.X
	}
	n := len(blocks)
	if x <= 0 {
		return Estimate{}
	}
	e := Estimate{Value: y / x}
	if n < MinBlocks {
		return e
	}
	e.Error, e.Freedom = slow(residuals(blocks, e.Value, x), waves)
	return e
}

// residuals returns how much each block moves the ratio.
func residuals(blocks []Block, ratio, x float64) []float64 {
	all := make([]float64, len(blocks))
	for i, b := range blocks {
		all[i] = (b.Y - ratio*b.X) / x
	}
	return all
}

// slow returns the standard error of a sum of residuals, from their slow variation, and its degrees of
// freedom.
func slow(residuals []float64, waves int) (err, freedom float64) {
	n := len(residuals)
	waves = min(max(waves, 1), n-1)
	var sum float64
	for j := 1; j <= waves; j++ {
		var c float64
		for i, r := range residuals {
			c += r * math.Cos(math.Pi*float64(j)*(float64(i)+0.5)/float64(n))
		}
		sum += 2 * c * c // of n times the variance of the sum, see the paper's equation for the estimator
	}
	return math.Sqrt(sum / float64(waves)), float64(waves)
}

// Effect is the difference between two estimates.
type Effect struct {
	// Change is what the second estimate is of the first, minus 1, or the difference of both for
	// [Difference]. Low and High are the bounds of its 95 % interval.
	Change, Low, High float64
	// Known reports whether there is an interval.
	Known bool

	scale            func(float64) float64 // from Change to the scale of the test
	at, err, freedom float64               // of the test
}

// Relative compares two positive estimates by their ratio.
func Relative(before, after Estimate) Effect {
	if before.Value <= 0 || after.Value <= 0 || math.IsInf(after.Value/before.Value, 0) {
		return Effect{}
	}
	e := Effect{scale: math.Log1p, at: math.Log(after.Value / before.Value)}
	e.test(before.Error/before.Value, after.Error/after.Value, before.Freedom, after.Freedom)
	e.relative()
	return e
}

// relative sets the change and its interval from the test on the logarithmic scale.
func (e *Effect) relative() {
	width := e.err * quantile(0.975, e.freedom)
	e.Change, e.Low, e.High = math.Expm1(e.at), math.Expm1(e.at-width), math.Expm1(e.at+width)
}

// Paired compares two runs at the same time by the ratio of their positive [Ratio] values. before and
// after have the same blocks of time. What slows both down together, such as a neighbour on the machine,
// cancels in the difference of their residuals.
func Paired(before, after []Block, waves int) Effect {
	a, b := Ratio(before, 1), Ratio(after, 1)
	if len(before) != len(after) || a.Freedom == 0 || b.Freedom == 0 || a.Value <= 0 || b.Value <= 0 || math.IsInf(b.Value/a.Value, 0) {
		return Effect{}
	}
	var xa, xb float64
	for i := range before {
		xa, xb = xa+before[i].X, xb+after[i].X
	}
	differences := residuals(after, b.Value, xb*b.Value)
	for i, r := range residuals(before, a.Value, xa*a.Value) {
		differences[i] -= r
	}
	e := Effect{Known: true, scale: math.Log1p, at: math.Log(b.Value / a.Value)}
	e.err, e.freedom = slow(differences, waves)
	e.relative()
	return e
}

// Difference compares two estimates by their difference, for shares, which may be 0.
func Difference(before, after Estimate) Effect {
	e := Effect{scale: func(v float64) float64 { return v }, at: after.Value - before.Value}
	e.test(before.Error, after.Error, before.Freedom, after.Freedom)
	width := e.err * quantile(0.975, e.freedom)
	e.Change, e.Low, e.High = e.at, e.at-width, e.at+width
	return e
}

// test combines two standard errors (Welch, Satterthwaite).
func (e *Effect) test(a, b, freedomA, freedomB float64) {
	if freedomA == 0 || freedomB == 0 {
		return
	}
	e.Known = true
	va, vb := a*a, b*b
	e.err, e.freedom = math.Sqrt(va+vb), freedomA+freedomB
	if d := va*va/freedomA + vb*vb/freedomB; d > 0 {
		e.freedom = (va + vb) * (va + vb) / d
	}
}

// Above returns the probability of such an Effect, or of a larger one, if the true change is at most
// so much (one-sided). It is 1 for an Effect that is not known.
func (e *Effect) Above(change float64) float64 { return e.beyond(change, 1) }

// Below is Above for a true change that is at least so much, and a smaller Effect.
func (e *Effect) Below(change float64) float64 { return e.beyond(change, -1) }

func (e *Effect) beyond(change, sign float64) float64 {
	if !e.Known {
		return 1
	}
	distance := sign * (e.at - e.scale(change))
	if e.err == 0 { // all blocks are equal
		if distance > 0 {
			return 0
		}
		return 1
	}
	return 1 - distribution(distance/e.err, e.freedom)
}

// Holm returns which hypotheses to reject so that the probability of rejecting any that is true is at
// most level, whatever depends on what (Holm, Scandinavian Journal of Statistics 6, 1979).
func Holm(p []float64, level float64) []bool {
	order := make([]int, len(p))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(p[a], p[b]) })
	rejected := make([]bool, len(p))
	for rank, i := range order {
		if p[i] > level/float64(len(p)-rank) {
			break
		}
		rejected[i] = true
	}
	return rejected
}
