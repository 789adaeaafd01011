// SPDX-License-Identifier: Apache-2.0

package baseline

import (
	"math"
	"time"

	"github.com/gmpulse/gmpulse/internal/rarity"
)

// cause is the detector that raised an alarm.
type cause uint8

const (
	causeNone   cause = iota
	causeSudden       // the fast evidence
	causeCreep        // the slow evidence
	causeRarity       // the rarity of a minute
	causeCeiling
)

const (
	// An alarm ends after calmTime seconds in the band, plus three for each sample outside.
	// One sample counts as at most maxCalmStep seconds.
	calmTime    = 12
	maxCalmStep = 10
	// ceilingSamples is how many consecutive samples at the ceiling raise an alarm.
	ceilingSamples = 3
	// absentTime without a value ends an alarm.
	absentTime = time.Minute
	// newNormal is how long an alarm lasts before its level is the new normal, if the level
	// is stable; after maxAlarm it is in any case.
	newNormal = 15 * time.Minute
	maxAlarm  = 2 * time.Hour
	// startTime after a restart with a restored state is neither judged nor learned.
	startTime = time.Minute
	// maxGap without a value discards the evidence gathered before.
	maxGap = time.Minute
	// minMinutes is how many minutes must be known before their rarity may raise an alarm.
	minMinutes = 120
)

// tracker watches one signal.
type tracker struct {
	*row
	learned
	minute rarity.Detector

	last       time.Time // of a value
	value      float64   // the newest value
	load       load
	fast       assessment // of the newest sample
	slow       assessment
	fastMean   bucket
	slowMean   bucket
	minuteMean bucket
	units      *unitGuard // for signals of the application
	cause      cause      // of the current alarm
	view       rarity.View
	rareMean   float64   // of the last minute
	rareUsual  float64   // what the minute's mean usually is at this time of day
	calm       int16     // seconds in the band
	atLimit    int16     // consecutive samples at the ceiling
	slowStart  float64   // residual of the slow evidence when the alarm was raised
	alarmStart time.Time // when the alarm was raised
	alarmBegan time.Time // when the anomaly began, according to the evidence
	anomalies  uint64
	lower      float64 // the band's residuals, recomputed every 30 samples
	upper      float64
	bandAge    int8
	startLeft  time.Duration // of startTime
}

// learned is the part of a tracker that the state file keeps. Its size is fixed.
type learned struct {
	Fast, Slow cusum
	Rare       float64 // added to the score that a minute needs, like cusum.Bar
	Scale      float64 // see row.scale
}

// bucket averages values over an interval.
type bucket struct {
	from time.Time
	sum  float64
	n    int
}

// add adds a value and returns the mean if the interval is over.
func (b *bucket) add(now time.Time, v float64, interval time.Duration) (mean float64, full bool) {
	if b.n == 0 && (now.Before(b.from) || now.Sub(b.from) > 2*interval) {
		b.from = now.Add(-interval) // the first value stands for the time before it
	}
	b.sum += v
	b.n++
	if now.Sub(b.from) < interval-interval/10 { // ticks may be slightly early
		return 0, false
	}
	mean = b.sum / float64(b.n)
	*b = bucket{from: now}
	return mean, true
}

// fold converts a value to e-folds: logarithmic above the scale, linear below. A higher
// result is always the anomalous direction.
func (t *tracker) fold(v float64) float64 {
	const limit = 60
	x := max(-limit, min(limit, math.Asinh(v/(2*t.Scale))))
	if t.below {
		return -x
	}
	return x
}

// unfold is the inverse of fold.
func (t *tracker) unfold(x float64) float64 {
	if t.below {
		x = -x
	}
	return 2 * t.Scale * math.Sinh(x)
}

// transition is the effect of a sample on the state of a signal.
type transition uint8

const (
	unchanged transition = iota
	raised
	cleared
	adopted  // the level is the new normal
	rescaled // the unit has changed
)

// observe judges the value of one tick.
func (t *tracker) observe(now time.Time, v float64, load load, b *budget) transition {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		if t.cause != causeNone && now.Sub(t.last) > absentTime {
			return t.clear()
		}
		return unchanged
	}
	passed := now.Sub(t.last)
	switch {
	case t.last.IsZero():
		passed = 0
	case passed == 0:
		return unchanged
	case passed < 0: // the clock was set back
		t.discard()
		t.last = now
		return unchanged
	default:
		if passed > maxGap {
			t.discard()
		}
		t.advance(min(passed, maxGap), b)
	}
	t.last, t.value, t.load = now, v, load
	if t.startLeft > 0 {
		t.startLeft -= passed
		return unchanged
	}
	if t.Scale == 0 {
		t.Scale = t.units.scale(v)
		if t.checkCeiling(v) {
			return t.decide(now, causeCeiling, now)
		}
		return unchanged
	}
	c := t.judge(now, v, passed, b)
	t.updateBand()
	return c
}

// discard discards what was gathered before a gap.
func (t *tracker) discard() {
	t.fastMean, t.slowMean, t.minuteMean = bucket{}, bucket{}, bucket{}
	if t.cause == causeNone {
		t.Fast.Sum, t.Slow.Sum = 0, 0
	}
}

func (t *tracker) advance(passed time.Duration, b *budget) {
	t.Fast.advance(passed, b.interval)
	t.Slow.advance(passed, b.interval)
	t.Rare = max(0, t.Rare-passed.Seconds()/b.interval.Seconds())
}

// judge applies the detectors of all time scales.
func (t *tracker) judge(now time.Time, v float64, passed time.Duration, b *budget) transition {
	const huge = 1e100 // sums of such values do not overflow
	v = max(-huge, min(huge, v))
	if t.units != nil {
		if hold, changed := t.units.check(t, v); changed {
			return rescaled
		} else if hold {
			return unchanged
		}
	}
	s := sample{now: now, x: t.fold(v), load: t.load, growth: t.growth, patience: t.patience(), learn: t.cause == causeNone}
	c, began := causeNone, now
	if t.checkRarity(now, v, b) {
		c, began = causeRarity, now.Add(-time.Minute)
	}
	if t.checkSlow(s, b) {
		c, began = causeCreep, time.Unix(0, t.Slow.Began)
	}
	if t.checkFast(s, passed, b) {
		c, began = causeSudden, time.Unix(0, t.Fast.Began)
	}
	if t.checkCeiling(v) {
		c, began = causeCeiling, now
	}
	return t.decide(now, c, began)
}

// patience returns the minimum number of samples for an alarm.
func (t *tracker) patience() float64 {
	if t.shape == Spiky {
		return 5
	}
	return 3
}

func (t *tracker) checkFast(s sample, passed time.Duration, b *budget) bool {
	scale := fastScale()
	x, full := t.fastMean.add(s.now, s.x, scale.interval)
	if !full {
		return false
	}
	s.x, s.tolerance, s.threshold = x, t.tolerance, b.fast
	t.fast = t.Fast.assess(scale, &s)
	t.followAlarm(x, passed)
	return t.fast.alarm
}

func (t *tracker) checkSlow(s sample, b *budget) bool {
	if t.creep == 0 {
		return false
	}
	scale := slowScale()
	x, full := t.slowMean.add(s.now, s.x, scale.interval)
	if !full {
		return false
	}
	latest := s.x
	s.x, s.tolerance, s.threshold = x, t.creep, b.slow
	t.slow = t.Slow.assess(scale, &s)
	return t.slow.alarm && latest-t.slow.expected > t.creep/2 // otherwise it is over
}

// checkRarity checks the mean of the last minute.
func (t *tracker) checkRarity(now time.Time, v float64, b *budget) bool {
	m, full := t.minuteMean.add(now, v, time.Minute)
	if !full {
		return false
	}
	j := t.minute.Next(now, m/t.Scale)
	t.rareMean = m
	if !math.IsNaN(j.Expected) {
		t.rareUsual = j.Expected * t.Scale
	}
	if t.minute.N < minMinutes || math.IsNaN(j.Expected) || j.Score < b.rare+t.Rare {
		return false
	}
	t.Rare = min(t.Rare+1, 5)
	t.view = j.View
	// The anomaly must be high and still going on.
	return t.fold(m)-t.fold(j.Expected*t.Scale) > t.tolerance && t.fast.known && t.fast.residual > t.tolerance
}

func (t *tracker) checkCeiling(v float64) bool {
	breached := v >= t.ceiling
	if t.below {
		breached = v <= t.ceiling
	}
	if t.ceiling == 0 || !breached {
		t.atLimit = 0
		return false
	}
	t.atLimit = min(t.atLimit+1, ceilingSamples)
	return t.atLimit >= ceilingSamples
}

// followAlarm updates the drift and the calm time of an alarm.
func (t *tracker) followAlarm(x float64, passed time.Duration) {
	if t.cause == causeNone {
		return
	}
	t.Fast.Drift.Add(x-t.fast.expected, 0.02)
	r := x - t.fast.expected
	outside := r > t.tolerance && t.Fast.share(fastScale(), r) < usualShare
	if t.slow.known {
		const fade = 4 * time.Second
		t.Slow.Drift.Add(x-t.Slow.Curve.expect(t.load, t.growth).value, 1-math.Exp(-float64(passed)/float64(fade)))
		outside = outside || t.cause == causeCreep && t.Slow.Drift.Mean > t.creep
	}
	if outside || t.atLimit > 0 {
		t.calm = max(0, t.calm-3)
		return
	}
	t.calm += int16(max(1, min(maxCalmStep, passed.Seconds())))
}

// decide raises or ends the alarm.
func (t *tracker) decide(now time.Time, c cause, began time.Time) transition {
	if t.cause == causeNone {
		if c == causeNone {
			return unchanged
		}
		t.cause, t.calm, t.alarmStart, t.alarmBegan = c, 0, now, began
		t.slowStart = t.slow.residual
		t.anomalies++
		return raised
	}
	lasted := now.Sub(t.alarmStart)
	switch {
	case t.calm >= calmTime:
		return t.clear()
	case t.calm > 0: // perhaps returning to normal
		return unchanged
	case lasted >= maxAlarm, lasted >= newNormal && t.stable():
		t.Fast.adopt()
		if t.slow.known {
			t.Slow.adopt()
		}
		t.cause, t.atLimit = causeNone, 0
		return adopted
	default:
		return unchanged
	}
}

// stable reports whether the level of the alarm no longer changes.
func (t *tracker) stable() bool {
	if t.cause == causeCreep && t.Slow.Drift.Mean > t.slowStart+t.creep {
		return false
	}
	return math.Abs(t.fast.residual-t.Fast.Drift.Mean) <= max(t.tolerance, 2*t.Fast.Drift.Deviation()) && t.atLimit == 0
}

func (t *tracker) clear() transition {
	t.cause, t.calm = causeNone, 0
	t.Fast.reset()
	t.Slow.reset()
	return cleared
}

// learning reports whether no alarm can be raised yet.
func (t *tracker) learning() bool {
	return t.Scale == 0 || !t.fast.known || t.Fast.learning(fastScale())
}

func (t *tracker) updateBand() {
	const samples = 30
	if t.bandAge--; t.bandAge > 0 {
		return
	}
	t.bandAge = samples
	t.lower, t.upper = t.Fast.band(fastScale(), t.tolerance)
}
