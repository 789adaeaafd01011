// SPDX-License-Identifier: Apache-2.0

package goroutines

import (
	"math"
	"time"
)

const (
	// A survey of nobody, in a young process (BenchmarkTakeNobody): for the most
	// part the buffers of the compression.
	surveyBase = 800 * time.Microsecond
	// No survey is cheaper than this, whatever the clock says.
	leastPerGoroutine = time.Microsecond
	// What is expected of the first survey: a dozen frames, two or three labels.
	usualPerGoroutine = 3500 * time.Nanosecond

	// defaultShare of one core is for surveys.
	defaultShare = 0.001
	// savings is how much unused time may be saved up.
	savings = time.Minute
	// credit is how far ahead of its time Borrow may spend.
	credit = 10 * time.Minute
)

// Governor rations surveys: on average they take no more CPU time than a share
// of one core. It knows from the last surveys what the next one will cost, so
// that an explosion of goroutines is seen before it is paid for. Times are
// arguments: it asks no clock. Make one with NewGovernor. It is for one
// goroutine.
//
//	if n := runtime.NumGoroutine(); g.Allow(now, n) || suspicious && g.Borrow(now, n) {
//		s, err := surveyor.Take(ctx)
//		g.Spend(now, n, s.CPU)
//	}
type Governor struct {
	share  float64       // of one core
	credit time.Duration // how far ahead of its time Borrow may spend
	// paid is the moment by which everything spent has been earned. What was
	// earned since is there to be spent; when it lies ahead there is a debt.
	paid time.Time
	// What a survey is expected to cost, in nanoseconds: base and each for every
	// goroutine. Both are learned. The base rises when goroutines have been many
	// once, by 3 ms for 100,000: the runtime visits the dead as well.
	base, each float64
}

// NewGovernor returns a Governor that lets surveys have a share of one core:
// 0.001 is 60 ms a minute. A share that is not above 0 and at most 1 is 0.001.
func NewGovernor(share float64) *Governor {
	if !(share > 0 && share <= 1) {
		share = defaultShare
	}
	return &Governor{share: share, credit: credit, base: float64(surveyBase), each: float64(usualPerGoroutine)}
}

// Next returns how long to wait after a survey that cost so much CPU time, so
// that the share is kept if all cost the same.
func (g *Governor) Next(cost time.Duration) time.Duration {
	return duration(math.Ceil(float64(max(cost, 0)) / g.share))
}

// Estimate returns the CPU time that a survey of so many goroutines will cost.
func (g *Governor) Estimate(goroutines int) time.Duration {
	return duration(g.base + g.each*float64(max(goroutines, 0)))
}

// Allow tells whether a survey of so many goroutines can be paid for now from
// what was saved: at most a minute's share, and all since the last survey.
func (g *Governor) Allow(now time.Time, goroutines int) bool {
	return g.earned(now) >= g.Next(g.Estimate(goroutines))
}

// Borrow tells whether a survey of so many goroutines, out of turn because
// something is suspicious, is within the credit: ten minutes' share. The debt is
// paid back before Allow says yes again.
func (g *Governor) Borrow(now time.Time, goroutines int) bool {
	return g.earned(now)+g.credit >= g.Next(g.Estimate(goroutines))
}

// Spend records a survey that was taken: of how many goroutines, and the CPU
// time it cost.
func (g *Governor) Spend(now time.Time, goroutines int, cost time.Duration) {
	g.earned(now) // begins the account
	goroutines = max(goroutines, 0)
	cost = max(cost, time.Duration(goroutines)*leastPerGoroutine)
	g.paid = g.paid.Add(g.Next(cost))
	if saved := now.Add(-savings); g.paid.Before(saved) {
		g.paid = saved
	}
	g.learn(float64(goroutines), float64(cost))
}

// learn mends half of the error of the last estimate (normalised least mean
// squares). A survey of few goroutines mends the base, one of many the cost of
// each: a hundred goroutines that took 4 ms do not tell that 100,000 take 4 s.
func (g *Governor) learn(goroutines, cost float64) {
	const few = 1000
	size := goroutines / few
	step := 0.5 * (cost - g.base - g.each*goroutines) / (1 + size*size)
	g.base = max(g.base+step, 0)
	g.each = max(g.each+step*size/few, float64(leastPerGoroutine))
}

// earned returns for how long the share has accrued unspent; negative is a debt.
func (g *Governor) earned(now time.Time) time.Duration {
	if g.paid.IsZero() {
		g.paid = now.Add(-savings) // the first survey need not wait
	}
	return now.Sub(g.paid)
}

// duration converts nanoseconds. Ten years stand for everything beyond: sums of
// two must not overflow.
func duration(ns float64) time.Duration {
	return time.Duration(min(ns, float64(10*365*24*time.Hour)))
}
