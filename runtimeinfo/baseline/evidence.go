// SPDX-License-Identifier: Apache-2.0

package baseline

import (
	"math"
	"time"
)

const (
	// bet is the exponent of the wager on every sample: one that is rarer than 18 %
	// adds to the evidence, any other takes from it.
	bet = 0.3
	// minSeen is how many residuals must be known before a rank means anything.
	minSeen = 60
	// rare is the share of residuals below which one is an exception.
	rare = 0.001
	// usual is the share of residuals from which on one is nothing special.
	usual = 0.05
	// maxBar bounds the bar, in times of its base: beyond it an alarm would be late.
	maxBar = 8
)

// pace is how the evidence of one time scale is gathered.
type pace struct {
	every    time.Duration // between samples
	rate     float64       // how much the newest sample counts for what is usual
	rung     float64       // of the histogram of residuals: nearer ones tie
	remember int32         // residuals that are kept
	learning float32       // seconds before the first alarm
}

// The two paces: a sudden change within seconds, a creeping one within minutes.
// The fast one forgets within ten minutes, so that a slow drift is left to the
// slow one, which remembers for four hours.
func fastPace() pace { return pace{time.Second, 1.0 / 600, 0.05, 50000, 300} }
func slowPace() pace { return pace{15 * time.Second, 1.0 / 960, 0.02, 20000, 2400} }

// base is the evidence that an alarm takes where one false alarm is wanted in so
// long a time: the logarithm of the samples in it.
func (p pace) base(between time.Duration) float64 {
	return math.Log(max(10, between.Seconds()/p.every.Seconds()))
}

// evidence gathers, from sample to sample, that a signal is higher than its load
// explains: a conformal CUSUM. Each sample's residual is ranked against earlier
// ones, its rarity bet on, and the winnings summed up; the sum cannot fall below
// zero. Were residuals exchangeable, a sum at the logarithm of n would be reached
// by chance once in n samples or more. They are not quite, so the bar is raised by
// each alarm and falls in time: in the long run it is what keeps to the wanted
// number of alarms.
type evidence struct {
	Curve curve
	Seen  counts // residuals; rung 64 is none
	Sum   float64
	Bar   float64 // above the base
	Drift mean    // of the residual during an alarm
	Began int64   // when the sum left zero, Unix nanoseconds
	Lull  uint32  // samples in a row that were lower than usual by far
	Age   float32 // seconds that the signal was there, up to a day
}

// sample is one value on its way through the evidence.
type sample struct {
	now       time.Time
	x         float64 // in e-folds
	load      load
	growth    float64
	tolerance float64
	patience  float64 // samples that an alarm takes at the least
	base      float64
	learn     bool // not while in alarm
}

// opinion is what the evidence says of a sample.
type opinion struct {
	expected, residual float64
	known              bool
	odds               float64 // share of earlier residuals that were as high
	alarm              bool
}

// place is the rung of a residual, the middle one for NaN.
func (p pace) place(residual float64) int {
	if math.IsNaN(residual) {
		return half
	}
	return half + int(max(-half, min(half-1, math.Floor(residual/p.rung+0.5))))
}

// share of the residuals that were as high as r.
func (e *evidence) share(p pace, r float64) float64 {
	if e.Seen.N < minSeen {
		return 1
	}
	return (float64(e.Seen.atLeast(p.place(r))) + 0.5) / float64(e.Seen.N+1)
}

// weigh takes the next sample.
func (e *evidence) weigh(p pace, s *sample) opinion {
	o := opinion{odds: 1}
	said := e.Curve.expect(s.load, s.growth)
	o.expected, o.known = said.x, said.known
	if !said.known {
		e.Curve.learn(s.load.place, s.x, &said, p.rate)
		return o
	}
	o.residual = s.x - said.x
	if o.residual > s.tolerance {
		o.odds = e.share(p, o.residual)
	}
	bar := s.base + e.Bar
	e.gather(s, o.odds, bar)
	learning := e.learning(p)
	if e.Sum >= bar && (s.learn || learning) {
		o.alarm = !learning
		e.raise(s.base, learning)
	}
	if learning || s.learn && e.Sum < bar/2 && !e.lull(p, s, &said) {
		e.learn(p, s, &said)
	}
	return o
}

// lull tells that the signal is unusually low, and has not been for long: a pause
// is nothing to learn from, or the end of it would be an alarm.
func (e *evidence) lull(p pace, s *sample, said *expectation) bool {
	residual := s.x - said.own
	if !said.seen || residual >= -s.tolerance || e.Seen.N < minSeen {
		e.Lull = 0
		return false
	}
	lower := e.Seen.N - e.Seen.atLeast(min(rungs-1, p.place(residual)+1))
	if float64(lower) > rare*float64(e.Seen.N) {
		return false
	}
	e.Lull++
	return time.Duration(e.Lull)*p.every < newNormal
}

// learning tells that too little is known for an alarm: it is too early, or there
// were too few samples.
func (e *evidence) learning(p pace) bool { return e.Age < p.learning || e.Seen.N < minSeen }

// grow lets time pass.
func (e *evidence) grow(passed time.Duration) {
	const old = 86400
	if e.Age < old {
		e.Age += float32(passed.Seconds())
	}
}

// learn takes the sample in.
func (e *evidence) learn(p pace, s *sample, said *expectation) {
	e.Curve.learn(s.load.place, s.x, said, p.rate)
	if !said.seen {
		return
	}
	if e.Seen.add(p.place(s.x - said.own)); e.Seen.N >= p.remember {
		e.Seen.halve()
	}
}

// gather bets on the sample.
func (e *evidence) gather(s *sample, odds, bar float64) {
	won := math.Log(bet) - (1-bet)*math.Log(odds)
	won = min(won, bar/s.patience)
	if e.Sum == 0 && won > 0 {
		e.Began = s.now.UnixNano()
	}
	e.Sum = max(0, min(bar, e.Sum+won))
}

// raise makes the next alarm harder to get: by a factor of twenty in the odds.
func (e *evidence) raise(base float64, learning bool) {
	e.Bar = min(e.Bar+raiseBy, (maxBar-1)*base)
	if learning { // nobody was told: how wild the signal is has been learned
		e.Sum = 0
		e.Bar = min(e.Bar, 2*base)
	}
}

const raiseBy = 3

// relax lowers the bar again, by one alarm's worth in the time between two.
func (e *evidence) relax(passed, between time.Duration) {
	e.Bar = max(0, e.Bar-raiseBy*passed.Seconds()/between.Seconds())
}

// forgive ends an alarm: the evidence is spent.
func (e *evidence) forgive() {
	e.Sum = 0
	e.Drift = mean{}
}

// settle makes the residual of late the new usual.
func (e *evidence) settle() {
	e.Curve.shift(e.Drift.Mean)
	e.forgive()
}

// band returns the residuals between which a sample is nothing special: as high
// as one in a thousand, but no nearer than the tolerance.
func (e *evidence) band(p pace, tolerance float64) (lower, upper float64) {
	few := int32(rare * float64(e.Seen.N))
	upper = float64(e.Seen.edge(few)-half) * p.rung
	lower = float64(e.Seen.lowEdge(few)-half) * p.rung
	return min(lower, -tolerance), max(upper, tolerance)
}
