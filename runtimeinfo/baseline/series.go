// SPDX-License-Identifier: Apache-2.0

package baseline

import (
	"math"
	"time"
)

// Kind says what an anomaly of a series looks like.
type Kind uint8

const (
	// Steady series have a level: memory, goroutines, latency. What is rare or
	// shifts the level is news; single steps count little.
	Steady Kind = iota
	// Spiky series jump by themselves: scheduling latency, pauses. A spike must
	// be sudden and large, or last.
	Spiky
)

// Threshold is the score from which on a sample is an anomaly. It gives 0.15 to
// 0.3 false alarms a series and day at samples of one to five minutes. It is the
// middle of a plateau on the 31 series of the Numenta Anomaly Benchmark that it
// was chosen with, not the peak of it.
const Threshold = 6.4

// The numbers of the detector. They were tuned on the same series and lie on a
// flat top: those next to each score the same within noise.
const (
	rateVolatility = 0.09
	rateFast       = 0.05
	rateSlow       = 0.005
	rateSmooth     = 0.07
	rateResidual   = 0.002
	rateStep       = 0.001
	reach          = 4   // deviations by which one sample may pull at what is usual
	outlier        = 8.5 // a score above it is not learned from ...
	outliers       = 3   // ... unless there are many in a row: then it is the new usual
	above          = 1.1 // times the last peak, to pass while it is quiet
	lasting        = 0.7 // of it: at such a score the episode is not over yet
	longest        = 4   // quiet times, however long it lasts
	prior          = 10  // samples' weight of the whole spread while that of residuals is young
	warmUp         = 100 // samples before deviations mean anything
)

// View is one way to look at a series.
type View uint8

// The views: each is ranked against its own history.
const (
	ViewVolatility View = iota // how much it moves from sample to sample
	ViewLevel                  // its mean of late against that of long
	ViewTimeOfDay              // against the usual at this half hour
	ViewHour                   // smoothed, against the usual in this hour
	numViews
)

// String says in words what is unusual.
func (v View) String() string {
	return [numViews + 1]string{
		"it moves unusually", "its level has shifted", "it is unusual for this time of day",
		"it has been unusual for this hour", "",
	}[min(v, numViews)]
}

// Series judges one series of coarse samples, a minute apart or more, by how
// rare each is: four views of it, each ranked against its own history on a log
// scale, and how far the sample lies from the usual at its time of day. Its
// memory is constant, about 2.7 KB, and nothing of it looks ahead. Make one with
// [NewSeries]; it belongs to one goroutine.
type Series struct {
	spiky bool
	quiet int32
	full  int32
	seriesState
}

// seriesState is what outlives a restart. Fixed in size.
type seriesState struct {
	Ladders              [numViews]ladder
	Day                  day
	Fast, Slow, Smooth   mean
	Volatility, Residual mean
	Step                 mean
	Last, Peak           float64
	N                    uint32
	Left, Age            int32 // of an episode: how long it stays quiet, since its peak
	Outliers             int32
}

// Judgement is what a [Series] thinks of one sample.
type Judgement struct {
	// Score is the rarity in powers of ten, roughly: see [Threshold].
	Score float64
	// View is the one that contributed most.
	View View
	// Expected is what is usual at this time of day, NaN while unknown.
	Expected float64
}

// NewSeries returns a Series for samples that are so far apart: zero is a minute.
// It remembers about two to four weeks of them.
func NewSeries(k Kind, interval time.Duration) *Series {
	if interval <= 0 {
		interval = time.Minute
	}
	const fortnight = 14 * 24 * time.Hour
	s := &Series{
		spiky: k == Spiky,
		quiet: 60,
		full:  int32(max(4000, min(20160, fortnight/interval))),
	}
	if s.spiky {
		s.quiet = 10
	}
	return s
}

// Next judges the next sample of a series, taken at t. A value that is not finite
// is left out: its score is 0. About 0.3 µs, no allocation.
func (s *Series) Next(t time.Time, v float64) Judgement {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return Judgement{View: numViews, Expected: math.NaN()}
	}
	v = s.tame(v)
	step := s.follow(v)
	slot := halfHour(t)
	hour := daySlots + slot/2
	residual := s.Day.residual(slot, v, 5)
	views := [numViews]float64{
		ViewVolatility: s.Volatility.Mean,
		ViewLevel:      s.Fast.Mean - s.Slow.Mean,
		ViewTimeOfDay:  residual,
		ViewHour:       s.Day.residual(hour, s.Smooth.Mean, 10),
	}
	j := Judgement{Expected: math.NaN()}
	if s.Day.N[slot] > 5 {
		j.Expected = float64(s.Day.Mean[slot])
	}
	j.Score, j.View = s.rarity(&views)
	j.Score += s.magnitude(residual, step)
	s.learn(j.Score, slot, hour, v, residual, step, &views)
	j.Score = s.hush(j.Score)
	return j
}

// tame brings a value that cannot be meant, fifty times the size of any other,
// within reach: it is still the largest ever seen, but does not blind the means
// for days. Where values are that large indeed, the means follow within a few.
func (s *Series) tame(v float64) float64 {
	const (
		huge   = 1e30 // fits a float32 with room for sums
		times  = 50
		enough = 10 // samples that tell the size
	)
	bound := huge
	if size := math.Abs(s.Slow.Mean) + s.Slow.deviation(); s.N > enough && size > 0 {
		bound = min(huge, times*size)
	}
	return max(-bound, min(bound, v))
}

// follow moves the running means on and returns the step from the last sample.
func (s *Series) follow(v float64) (step float64) {
	if s.N > 0 {
		step = v - s.Last
		s.Volatility.add(math.Abs(step), rateVolatility)
	}
	if s.N < math.MaxUint32 {
		s.N++
	}
	s.Last = v
	s.Fast.add(v, rateFast)
	s.Slow.add(v, rateSlow)
	s.Smooth.add(v, rateSmooth)
	return step
}

// rarity adds the surprises of the views in squares.
func (s *Series) rarity(views *[numViews]float64) (score float64, strongest View) {
	var sum, most float64
	strongest = numViews
	for i, x := range views {
		surprise := s.Ladders[i].surprise(x)
		sum += surprise * surprise
		if surprise > most {
			most, strongest = surprise, View(i)
		}
	}
	return math.Sqrt(sum), strongest
}

// magnitude is how far the sample lies out, beyond what a rank can tell.
func (s *Series) magnitude(residual, step float64) float64 {
	if s.N <= warmUp {
		return 0
	}
	least := 1e-9 + 1e-6*math.Abs(s.Slow.Mean)
	far := math.Log1p(math.Abs(residual-s.Residual.Mean) / (s.Residual.deviationOf(&s.Slow, prior) + least))
	if !s.spiky {
		return far
	}
	sudden := math.Log1p(math.Abs(step-s.Step.Mean) / (s.Step.deviation() + least))
	return 2*far + 2*sudden
}

// learn takes the sample in, unless it is an outlier by itself.
func (s *Series) learn(score float64, slot, hour int, v, residual, step float64, views *[numViews]float64) {
	limit := math.Inf(1)
	if s.N > warmUp {
		limit = reach * s.Residual.deviation()
	}
	s.Day.learn(slot, v, limit)
	s.Day.learn(hour, s.Smooth.Mean, limit)
	if score > outlier {
		if s.Outliers++; s.Outliers <= outliers {
			return
		}
	} else {
		s.Outliers = max(0, s.Outliers-1)
	}
	s.Residual.add(residual, rateResidual)
	s.Step.add(step, rateStep)
	for i, x := range views {
		s.Ladders[i].record(x, s.full)
	}
}

// hush keeps quiet for a while after a peak and for as long as it lasts, so that an
// episode is one alarm: only a clearly higher one passes. It returns the score, or
// next to nothing.
func (s *Series) hush(score float64) float64 {
	if s.Left == 0 {
		s.Peak = 0
	} else {
		s.Left--
		s.Age++
		if score > s.Peak*lasting && s.Age < longest*s.quiet {
			s.Left = s.quiet
		}
		if score <= s.Peak*above {
			return score / 100
		}
	}
	if score > s.Peak {
		s.Peak, s.Left, s.Age = score, s.quiet, 0
	}
	return score
}
