// SPDX-License-Identifier: Apache-2.0

// Package rarity scores the samples of a time series by how rare they are in its history.
//
// A [Detector] looks at four views of a series: its volatility, its level, and its
// deviation from the mean of the same half hour and the same hour of other days. It ranks
// each view against its own history and adds how far the sample lies from the expected
// value. It sees one sample at a time, uses constant memory and does not allocate.
package rarity

import (
	"math"
	"time"
)

// Threshold is the score from which on a sample is an anomaly. It gives 0.15 to 0.3 false
// alarms per series and day with samples of one to five minutes. It lies in the middle of
// a plateau on the tuning series of the Numenta Anomaly Benchmark.
const Threshold = 6.4

// The parameters were tuned on the same series; neighboring values score the same within
// noise.
const (
	rateVolatility = 0.09
	rateFast       = 0.05
	rateSlow       = 0.005
	rateSmooth     = 0.07
	rateResidual   = 0.002
	rateStep       = 0.001
	maxPull        = 4   // deviations by which one sample may move the mean of a time of day
	peakFactor     = 1.1 // a score above this multiple of the last peak is not suppressed
	episodeFactor  = 0.7 // a score above this multiple of the peak extends the episode
	maxEpisode     = 4   // quiet periods
	outlier        = 8.5 // a higher score is not learned from ...
	maxOutliers    = 3   // ... unless there are more than these in a row
	priorSamples   = 10  // weight of the overall deviation in a young residual deviation
	warmUp         = 100 // samples before deviations are used
)

// View is one way to look at a series.
type View uint8

// The views of a series.
const (
	ViewVolatility View = iota // mean step between samples
	ViewLevel                  // short-term mean against long-term mean
	ViewTimeOfDay              // value against the mean of this half hour
	ViewHour                   // smoothed value against the mean of this hour
	numViews
)

// String describes an anomaly of the view.
func (v View) String() string {
	return [numViews + 1]string{
		"unusual volatility", "the level has shifted", "unusual for this time of day",
		"unusual for this hour of the day", "",
	}[min(v, numViews)]
}

// Detector scores one series whose samples are a minute or more apart. It takes about
// 2.7 KB. Use [New] to make one. It is not safe for concurrent use.
type Detector struct {
	spiky    bool
	quiet    int32 // samples after a peak with suppressed scores
	capacity int32 // of a ranking's generation
	State
}

// State is what a Detector has learned. Its binary encoding has a fixed size.
type State struct {
	Rankings             [numViews]ranking
	Day                  timeOfDay
	Fast, Slow, Smooth   Mean
	Volatility, Residual Mean
	Step                 Mean
	Last, Peak           float64
	N                    uint32
	Left, Age            int32 // suppressed samples left, and samples since the peak
	Outliers             int32
}

// Judgement is the result for one sample.
type Judgement struct {
	Score    float64 // rarity, roughly in powers of ten; see Threshold
	View     View    // the view that contributed most
	Expected float64 // mean at this time of day, NaN if unknown
}

// New returns a Detector for samples that are interval apart; 0 means a minute. It
// remembers two to four weeks. The values of a spiky series jump in normal operation: a
// spike must be sudden and large to be an anomaly.
func New(spiky bool, interval time.Duration) *Detector {
	if interval <= 0 {
		interval = time.Minute
	}
	const fortnight = 14 * 24 * time.Hour
	d := &Detector{spiky: spiky, quiet: 60, capacity: int32(max(4000, min(20160, fortnight/interval)))}
	if spiky {
		d.quiet = 10
	}
	return d
}

// Next scores the next sample, taken at t. The score of NaN and infinities is 0; they are
// not learned. It takes about 0.3 µs.
func (d *Detector) Next(t time.Time, v float64) Judgement {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return Judgement{View: numViews, Expected: math.NaN()}
	}
	v = d.clamp(v)
	step := d.update(v)
	slot := halfHour(t)
	hour := halfHours + slot/2
	residual := d.Day.residual(slot, v, 5)
	views := [numViews]float64{
		ViewVolatility: d.Volatility.Mean,
		ViewLevel:      d.Fast.Mean - d.Slow.Mean,
		ViewTimeOfDay:  residual,
		ViewHour:       d.Day.residual(hour, d.Smooth.Mean, 10),
	}
	j := Judgement{Expected: math.NaN()}
	if d.Day.N[slot] > 5 {
		j.Expected = float64(d.Day.Mean[slot])
	}
	j.Score, j.View = d.surprise(&views)
	j.Score += d.distance(residual, step)
	maxStep := math.Inf(1)
	if d.N > warmUp {
		maxStep = maxPull * d.Residual.Deviation()
	}
	d.Day.learn(slot, v, maxStep)
	d.Day.learn(hour, d.Smooth.Mean, maxStep)
	d.learn(j.Score, residual, step, &views)
	j.Score = d.suppress(j.Score)
	return j
}

// learn adds a sample to the history unless it is a single outlier.
func (d *Detector) learn(score, residual, step float64, views *[numViews]float64) {
	if score <= outlier {
		d.Outliers = max(0, d.Outliers-1)
	} else if d.Outliers++; d.Outliers <= maxOutliers {
		return
	}
	d.Residual.Add(residual, rateResidual)
	d.Step.Add(step, rateStep)
	for i, x := range views {
		d.Rankings[i].record(x, d.capacity)
	}
}

// clamp limits a value to fifty times the mean magnitude, so that a single absurd value
// does not distort the means for days. If such values persist, the means follow.
func (d *Detector) clamp(v float64) float64 {
	const (
		huge       = 1e30 // sums of such values fit a float32
		times      = 50
		minSamples = 10
	)
	limit := huge
	if size := math.Abs(d.Slow.Mean) + d.Slow.Deviation(); d.N > minSamples && size > 0 {
		limit = min(huge, times*size)
	}
	return max(-limit, min(limit, v))
}

// update updates the running means and returns the step from the last sample.
func (d *Detector) update(v float64) (step float64) {
	if d.N > 0 {
		step = v - d.Last
		d.Volatility.Add(math.Abs(step), rateVolatility)
	}
	if d.N < math.MaxUint32 {
		d.N++
	}
	d.Last = v
	d.Fast.Add(v, rateFast)
	d.Slow.Add(v, rateSlow)
	d.Smooth.Add(v, rateSmooth)
	return step
}

// surprise returns the root of the sum of squares of all views' surprises, and the view
// with the largest one.
func (d *Detector) surprise(views *[numViews]float64) (score float64, strongest View) {
	var sum, largest float64
	strongest = numViews
	for i, x := range views {
		s := d.Rankings[i].surprise(x)
		sum += s * s
		if s > largest {
			largest, strongest = s, View(i)
		}
	}
	return math.Sqrt(sum), strongest
}

// distance returns the logarithm of the sample's distance in deviations, which
// distinguishes samples beyond the highest rank.
func (d *Detector) distance(residual, step float64) float64 {
	if d.N <= warmUp {
		return 0
	}
	least := 1e-9 + 1e-6*math.Abs(d.Slow.Mean)
	far := math.Log1p(math.Abs(residual-d.Residual.Mean) / (d.Residual.deviationWithPrior(&d.Slow, priorSamples) + least))
	if !d.spiky {
		return far
	}
	sudden := math.Log1p(math.Abs(step-d.Step.Mean) / (d.Step.Deviation() + least))
	return 2*far + 2*sudden
}

// suppress divides scores after a peak by 100 while the episode lasts, unless one is
// clearly higher: an episode is one alarm.
func (d *Detector) suppress(score float64) float64 {
	if d.Left == 0 {
		d.Peak = 0
	} else {
		d.Left--
		d.Age++
		if score > d.Peak*episodeFactor && d.Age < maxEpisode*d.quiet {
			d.Left = d.quiet
		}
		if score <= d.Peak*peakFactor {
			return score / 100
		}
	}
	if score > d.Peak {
		d.Peak, d.Left, d.Age = score, d.quiet, 0
	}
	return score
}

const (
	maxValue = 1e31   // clamp returns at most 1e30
	maxScore = 1e4    // more than any score
	maxRung  = 20_000 // more than the logarithmic rung of any float64
)

// Valid reports whether all numbers are finite and in the range that a Detector produces.
func (s *State) Valid() bool {
	for i := range s.Rankings {
		r := &s.Rankings[i]
		if !r.Current.Valid() || !r.Previous.Valid() || r.Top < -maxRung || r.Top > maxRung {
			return false
		}
	}
	for _, v := range s.Day.Mean {
		if !Within(float64(v), -maxValue, maxValue) {
			return false
		}
	}
	for _, m := range []*Mean{&s.Fast, &s.Slow, &s.Smooth, &s.Volatility, &s.Residual, &s.Step} {
		if !m.Valid(4 * maxValue) {
			return false
		}
	}
	return Within(s.Last, -maxValue, maxValue) && Within(s.Peak, 0, maxScore) && s.Left >= 0 && s.Age >= 0 && s.Outliers >= 0
}
