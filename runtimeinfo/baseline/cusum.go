// SPDX-License-Identifier: Apache-2.0

package baseline

import (
	"math"
	"time"

	"github.com/gmpulse/gmpulse/internal/rarity"
)

const (
	// betExponent is the exponent of the bet on each sample: a sample rarer than 18 % adds
	// evidence, others subtract.
	betExponent = 0.3
	// minResiduals is how many residuals must be known before ranks are used.
	minResiduals = 60
	// rareShare is the share of residuals below which one is an exception, and usualShare
	// the share from which on it is not unusual.
	rareShare  = 0.001
	usualShare = 0.05
	// barStep is how much each alarm raises the bar, a factor of 20 in the odds. The bar is
	// at most maxBar times the threshold: above it an alarm would be late.
	barStep = 3
	maxBar  = 8

	zeroRung = rarity.Rungs / 2 // of a residual of 0
)

// timeScale has the parameters of a cusum on one time scale.
type timeScale struct {
	interval  time.Duration // between samples
	rate      float64       // minimum weight of a sample in the mean
	rung      float64       // resolution of the histogram of residuals, in e-folds
	residuals int32         // kept in the histogram
	learning  float32       // seconds before the first alarm
}

// fastScale detects a change within seconds. It adapts within ten minutes, so that a slow
// drift is left to slowScale, which adapts in four hours.
func fastScale() timeScale { return timeScale{time.Second, 1.0 / 600, 0.05, 50000, 300} }
func slowScale() timeScale { return timeScale{15 * time.Second, 1.0 / 960, 0.02, 20000, 2400} }

// threshold returns the evidence for an alarm at one false alarm per interval: the logarithm
// of the number of samples.
func (s timeScale) threshold(interval time.Duration) float64 {
	return math.Log(max(10, interval.Seconds()/s.interval.Seconds()))
}

// rungOf returns the bin of a residual, the middle one for NaN.
func (s timeScale) rungOf(residual float64) int {
	if math.IsNaN(residual) {
		return zeroRung
	}
	return zeroRung + int(max(-zeroRung, min(zeroRung-1, math.Floor(residual/s.rung+0.5))))
}

// cusum accumulates, sample by sample, evidence that a signal is higher than its load
// explains: a conformal CUSUM. It ranks each residual against earlier ones, bets on its
// rarity, and sums the winnings; the sum is never negative. With exchangeable residuals the
// sum reaches log n by chance once in n samples or fewer. Real residuals are not quite
// exchangeable, so each alarm raises the threshold by an amount, Bar, that decreases with
// time: in the long run this limits the number of alarms.
type cusum struct {
	Curve curve
	Seen  rarity.Histogram // residuals; zeroRung is 0
	Sum   float64
	Bar   float64     // above the threshold
	Drift rarity.Mean // residual during an alarm
	Began int64       // when the sum became positive, in Unix nanoseconds
	Lull  uint32      // consecutive samples that were unusually low
	Age   float32     // seconds with values, up to a day
}

// sample is one value with the parameters to judge it by.
type sample struct {
	now       time.Time
	x         float64 // in e-folds
	load      load
	growth    float64
	tolerance float64
	patience  float64 // minimum number of samples for an alarm
	threshold float64
	learn     bool // false during an alarm
}

// assessment is the result for one sample.
type assessment struct {
	expected, residual float64
	known              bool    // expected is valid
	odds               float64 // share of earlier residuals that were as high
	alarm              bool
}

// share returns the share of residuals that were at least r.
func (c *cusum) share(scale timeScale, r float64) float64 {
	if c.Seen.N < minResiduals {
		return 1
	}
	return (float64(c.Seen.AtLeast(scale.rungOf(r))) + 0.5) / float64(c.Seen.N+1)
}

// assess judges the next sample and learns from it.
func (c *cusum) assess(scale timeScale, s *sample) assessment {
	a := assessment{odds: 1}
	expected := c.Curve.expect(s.load, s.growth)
	a.expected, a.known = expected.value, expected.known
	if !expected.known {
		c.Curve.learn(s.load.place, s.x, &expected, scale.rate)
		return a
	}
	a.residual = s.x - expected.value
	if a.residual > s.tolerance {
		a.odds = c.share(scale, a.residual)
	}
	bar := s.threshold + c.Bar
	c.accumulate(s, a.odds, bar)
	learning := c.learning(scale)
	if c.Sum >= bar && (s.learn || learning) {
		a.alarm = !learning
		c.Bar = min(c.Bar+barStep, (maxBar-1)*s.threshold)
		if learning { // nothing was reported: the signal's variation is still being learned
			c.Sum = 0
			c.Bar = min(c.Bar, 2*s.threshold)
		}
	}
	if learning || s.learn && c.Sum < bar/2 && !c.inLull(scale, s, &expected) {
		c.learn(scale, s, &expected)
	}
	return a
}

// accumulate bets on the sample.
func (c *cusum) accumulate(s *sample, odds, bar float64) {
	won := math.Log(betExponent) - (1-betExponent)*math.Log(odds)
	won = min(won, bar/s.patience)
	if c.Sum == 0 && won > 0 {
		c.Began = s.now.UnixNano()
	}
	c.Sum = max(0, min(bar, c.Sum+won))
}

// learning reports whether too little is known for an alarm.
func (c *cusum) learning(scale timeScale) bool {
	return c.Age < scale.learning || c.Seen.N < minResiduals
}

// inLull reports whether the signal has been unusually low for a short time. A pause must
// not be learned, or its end would raise an alarm.
func (c *cusum) inLull(scale timeScale, s *sample, expected *expectation) bool {
	residual := s.x - expected.own
	if !expected.seen || residual >= -s.tolerance || c.Seen.N < minResiduals {
		c.Lull = 0
		return false
	}
	lower := c.Seen.N - c.Seen.AtLeast(min(rarity.Rungs-1, scale.rungOf(residual)+1))
	if float64(lower) > rareShare*float64(c.Seen.N) {
		return false
	}
	c.Lull++
	return time.Duration(c.Lull)*scale.interval < newNormal
}

// learn adds the sample to the curve and its residual to the histogram.
func (c *cusum) learn(scale timeScale, s *sample, expected *expectation) {
	c.Curve.learn(s.load.place, s.x, expected, scale.rate)
	if !expected.seen {
		return
	}
	if c.Seen.Add(scale.rungOf(s.x - expected.own)); c.Seen.N >= scale.residuals {
		c.Seen.Halve()
	}
}

// advance lets time pass: Bar decreases by one alarm's step per interval of false alarms.
func (c *cusum) advance(passed, interval time.Duration) {
	const maxAge = 86400
	if c.Age < maxAge {
		c.Age += float32(passed.Seconds())
	}
	c.Bar = max(0, c.Bar-barStep*passed.Seconds()/interval.Seconds())
}

// reset discards the evidence after an alarm.
func (c *cusum) reset() {
	c.Sum = 0
	c.Drift = rarity.Mean{}
}

// adopt makes the level during the alarm the new normal.
func (c *cusum) adopt() {
	c.Curve.shift(c.Drift.Mean)
	c.reset()
}

// band returns the residuals within which a sample is normal: all but one in a thousand, and
// at least the tolerance.
func (c *cusum) band(scale timeScale, tolerance float64) (lower, upper float64) {
	few := int32(rareShare * float64(c.Seen.N))
	upper = float64(c.Seen.UpperEdge(few)-zeroRung) * scale.rung
	lower = float64(c.Seen.LowerEdge(few)-zeroRung) * scale.rung
	return min(lower, -tolerance), max(upper, tolerance)
}
