// SPDX-License-Identifier: Apache-2.0

package baseline

import (
	"math"
	"time"
)

// cause is what raised an alarm.
type cause uint8

const (
	byNothing cause = iota
	bySudden        // the fast evidence
	byCreeping
	byRarity // the minutes' rank
	byCeiling
)

const (
	// calmTime in the band, less three seconds for each sample outside, ends an alarm.
	calmTime = 12
	// calmStep is the most that one sample stands for.
	calmStep = 10
	// ceilingSamples at or above the ceiling raise one.
	ceilingSamples = 3
	// absentFor ends an alarm of a signal that is no more.
	absentFor = time.Minute
	// newNormal is how long an alarm lasts before its level is the new usual, if
	// it is a level; maxAlarm is how long it lasts before that does not matter.
	newNormal = 15 * time.Minute
	maxAlarm  = 2 * time.Hour
	// startUp is not judged by what was usual before a restart, nor learned from.
	startUp = time.Minute
	// gap is how long a signal may be absent before what was gathered is stale.
	gap = time.Minute
	// minMinutes is how many minutes must be known before their rank may alarm.
	minMinutes = 120
)

// tracker watches one signal.
type tracker struct {
	*row
	learned
	minute Series

	last       time.Time // of a value
	value      float64   // newest
	load       load      // at it
	opinion    opinion   // of the fast evidence
	slowly     opinion   // of the slow evidence
	fastSum    bucket
	slowSum    bucket
	minuteSum  bucket
	units      *unitGuard // of signals whose unit is not ours
	cause      cause
	view       View
	calm       int16   // seconds
	high       int16   // samples at the ceiling in a row
	crept      float64 // residual of the slow evidence when the alarm was raised
	alarmFrom  time.Time
	alarmBegan time.Time // when it is thought to have begun, earlier than alarmFrom
	anomalies  uint64
	lower      float64 // residuals of the band, refreshed now and then
	upper      float64
	bandAge    int8
	grace      time.Duration // after a restart: what is left of it
}

// learned is what a tracker knows, fixed in size: it outlives a restart.
type learned struct {
	Fast, Slow evidence
	Rare       float64 // above the threshold of the minutes' rank, as evidence.Bar
	Scale      float64 // of the values: the smallest that matters
}

// bucket averages values until its time is over.
type bucket struct {
	from time.Time
	sum  float64
	n    int
}

// add takes a value and returns the mean when the time is over.
func (b *bucket) add(now time.Time, v float64, every time.Duration) (m float64, full bool) {
	if b.n == 0 && (now.Before(b.from) || now.Sub(b.from) > 2*every) {
		b.from = now.Add(-every) // the first one speaks for the time before it
	}
	b.sum += v
	b.n++
	if now.Sub(b.from) < every-every/10 { // a tick that comes a hair early still ends it
		return 0, false
	}
	m = b.sum / float64(b.n)
	*b = bucket{from: now}
	return m, true
}

// fold brings a value to e-folds, linear below the scale. An anomaly is up.
func (t *tracker) fold(v float64) float64 {
	const most = 60 // e-folds: nothing that is meant is so large
	x := max(-most, min(most, math.Asinh(v/(2*t.Scale))))
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

// change is what a sample did to the state of a signal.
type change uint8

const (
	unchanged change = iota
	raised
	cleared
	settled // the level is the new normal
	rescaled
)

// take judges the value of one tick under a load.
func (t *tracker) take(now time.Time, v float64, load load, b *budget) change {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return t.miss(now)
	}
	passed := now.Sub(t.last)
	switch first := t.last.IsZero(); {
	case first:
		passed = 0
	case passed == 0:
		return unchanged
	case passed < 0: // the clock went back: nothing was measured
		t.stale()
		t.last = now
		return unchanged
	case passed > gap:
		t.stale()
		fallthrough
	default:
		t.relax(min(passed, gap), b)
	}
	t.last, t.value, t.load = now, v, load
	if t.grace > 0 {
		t.grace -= passed
		return unchanged
	}
	if t.Scale == 0 {
		t.Scale = t.units.scale(v)
		if t.atCeiling(v) { // whatever is usual
			return t.decide(now, byCeiling, now)
		}
		return unchanged
	}
	c := t.judge(now, v, passed, b)
	t.refreshBand()
	return c
}

// miss is a tick without a value.
func (t *tracker) miss(now time.Time) change {
	if t.cause != byNothing && now.Sub(t.last) > absentFor {
		return t.clear()
	}
	return unchanged
}

// stale forgets what was being gathered when the signal was lost.
func (t *tracker) stale() {
	t.fastSum, t.slowSum, t.minuteSum = bucket{}, bucket{}, bucket{}
	if t.cause == byNothing {
		t.Fast.Sum, t.Slow.Sum = 0, 0
	}
}

func (t *tracker) relax(passed time.Duration, b *budget) {
	t.Fast.grow(passed)
	t.Slow.grow(passed)
	t.Fast.relax(passed, b.between)
	t.Slow.relax(passed, b.between)
	t.Rare = max(0, t.Rare-passed.Seconds()/b.between.Seconds())
}

// judge lets the three time scales see the value.
func (t *tracker) judge(now time.Time, v float64, passed time.Duration, b *budget) change {
	const huge = 1e100 // no sum of such values overflows
	v = max(-huge, min(huge, v))
	if t.units != nil {
		if hold, changed := t.units.guard(t, v); changed {
			return rescaled
		} else if hold {
			return unchanged
		}
	}
	s := sample{now: now, x: t.fold(v), load: t.load, growth: t.growth, patience: t.patience(), learn: t.cause == byNothing}
	why, began := byNothing, now
	if t.rarely(now, v, b) {
		why, began = byRarity, now.Add(-time.Minute)
	}
	if t.creeps(s, b) {
		why, began = byCreeping, time.Unix(0, t.Slow.Began)
	}
	if t.jumps(s, passed, b) {
		why, began = bySudden, time.Unix(0, t.Fast.Began)
	}
	if t.atCeiling(v) {
		why, began = byCeiling, now
	}
	return t.decide(now, why, began)
}

// jumps lets the fast evidence see the value.
func (t *tracker) jumps(s sample, passed time.Duration, b *budget) bool {
	p := fastPace()
	x, full := t.fastSum.add(s.now, s.x, p.every)
	if !full {
		return false
	}
	s.x, s.tolerance, s.base = x, t.tolerance, b.fast
	t.opinion = t.Fast.weigh(p, &s)
	t.follow(x, passed)
	return t.opinion.alarm
}

// creeps lets the slow evidence see the value, of signals that pile up. Means of
// many are less noisy: it tolerates less.
func (t *tracker) creeps(s sample, b *budget) bool {
	if t.creep == 0 {
		return false
	}
	p := slowPace()
	x, full := t.slowSum.add(s.now, s.x, p.every)
	if !full {
		return false
	}
	latest := s.x
	s.x, s.tolerance, s.base = x, t.creep, b.slow
	t.slowly = t.Slow.weigh(p, &s)
	return t.slowly.alarm && latest-t.slowly.expected > t.creep/2 // else it is over already
}

// follow tracks the residual of an alarm, and whether it is over.
func (t *tracker) follow(x float64, passed time.Duration) {
	if t.cause == byNothing {
		return
	}
	t.Fast.Drift.add(x-t.opinion.expected, 0.02)
	over := t.beyond(x, t.opinion.expected)
	if t.slowly.known {
		const fade = 4 * time.Second
		t.Slow.Drift.add(x-t.Slow.Curve.expect(t.load, t.growth).x, 1-math.Exp(-float64(passed)/float64(fade)))
		over = over || t.cause == byCreeping && t.Slow.Drift.Mean > t.creep
	}
	if over || t.high > 0 {
		t.calm = max(0, t.calm-3)
		return
	}
	t.calm += int16(max(1, min(calmStep, passed.Seconds())))
}

// beyond tells whether x is more than an everyday distance above what was expected.
func (t *tracker) beyond(x, expected float64) bool {
	r := x - expected
	return r > t.tolerance && t.Fast.share(fastPace(), r) < usual
}

// rarely lets the minute's mean be ranked.
func (t *tracker) rarely(now time.Time, v float64, b *budget) bool {
	m, full := t.minuteSum.add(now, v, time.Minute)
	if !full {
		return false
	}
	j := t.minute.Next(now, m/t.Scale)
	if t.minute.N < minMinutes || math.IsNaN(j.Expected) || j.Score < b.rare+t.Rare {
		return false
	}
	t.Rare = min(t.Rare+1, 5)
	t.view = j.View
	// A minute that was rare is news only while it lasts.
	return t.fold(m)-t.fold(j.Expected*t.Scale) > t.tolerance && t.opinion.known && t.opinion.residual > t.tolerance
}

func (t *tracker) atCeiling(v float64) bool {
	breached := v >= t.ceiling
	if t.below {
		breached = v <= t.ceiling
	}
	if t.ceiling == 0 || !breached {
		t.high = 0
		return false
	}
	t.high = min(t.high+1, ceilingSamples)
	return t.high >= ceilingSamples
}

// decide opens or closes the alarm.
func (t *tracker) decide(now time.Time, why cause, began time.Time) change {
	if t.cause == byNothing {
		if why == byNothing {
			return unchanged
		}
		t.cause, t.calm, t.alarmFrom, t.alarmBegan = why, 0, now, began
		t.crept = t.slowly.residual
		t.anomalies++
		return raised
	}
	lasted := now.Sub(t.alarmFrom)
	switch {
	case t.calm >= calmTime:
		return t.clear()
	case t.calm > 0: // it may be on its way back: nothing to get used to
		return unchanged
	case lasted >= maxAlarm, lasted >= newNormal && t.level():
		t.Fast.settle()
		if t.slowly.known {
			t.Slow.settle()
		}
		t.cause, t.high = byNothing, 0
		return settled
	default:
		return unchanged
	}
}

// level tells whether the signal stays where it is, in alarm.
func (t *tracker) level() bool {
	if t.cause == byCreeping && t.Slow.Drift.Mean > t.crept+t.creep {
		return false // it still climbs
	}
	return math.Abs(t.opinion.residual-t.Fast.Drift.Mean) <= max(t.tolerance, 2*t.Fast.Drift.deviation()) && t.high == 0
}

func (t *tracker) clear() change {
	t.cause, t.calm = byNothing, 0
	t.Fast.forgive()
	t.Slow.forgive()
	return cleared
}

// learning tells that no alarm can be raised yet.
func (t *tracker) learning() bool {
	return t.Scale == 0 || !t.opinion.known || t.Fast.learning(fastPace())
}

// patience is how many samples in a row an alarm takes: a spike is none.
func (t *tracker) patience() float64 {
	if t.kind == Spiky {
		return 5
	}
	return 3
}

// refreshBand looks up the band of residuals: it moves slowly.
func (t *tracker) refreshBand() {
	const every = 30
	if t.bandAge--; t.bandAge > 0 {
		return
	}
	t.bandAge = every
	t.lower, t.upper = t.Fast.band(fastPace(), t.tolerance)
}
