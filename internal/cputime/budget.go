// SPDX-License-Identifier: Apache-2.0

package cputime

import (
	"math"
	"time"
)

// ProfileBase is the expected cost of a goroutine profile apart from its goroutines: for the
// most part, buffers for compression.
const ProfileBase = 800 * time.Microsecond

const (
	// defaultShare is the share of one core that NewBudget uses for an invalid share.
	defaultShare = 0.001
	// maxSaved bounds how much unused time accumulates.
	maxSaved = time.Minute
	// perGoroutine is the expected cost of each goroutine in the first operation: a profile of
	// a dozen frames and two or three labels.
	perGoroutine = 3500 * time.Nanosecond
	// minPerGoroutine is the least that Spend charges for each goroutine, in case the clock
	// is too coarse to measure a profile.
	minPerGoroutine = time.Microsecond
)

// Budget limits the CPU time of operations whose cost depends on the number of
// goroutines, such as goroutine profiles, to a share of one core on average. It estimates
// the cost of the next operation from the last ones, so that a sudden rise of the number of
// goroutines is recognized before it is paid for. Times are arguments; a Budget reads no
// clock. Create one with [NewBudget]. It is not safe for concurrent use.
//
//	if n := runtime.NumGoroutine(); b.Allow(now, n) || suspicious && b.Borrow(now, n) {
//		cost := profile()
//		b.Spend(now, n, cost)
//	}
type Budget struct {
	// Credit is how far ahead of its time Borrow may spend, in wall time. NewBudget sets
	// ten minutes.
	Credit time.Duration

	share float64 // of one core
	// paid is the time by which the share covers everything spent. Time that has passed
	// since then is available; a time in the future is a debt.
	paid time.Time
	// The expected cost is base + perGoroutine*n, in nanoseconds. Spend adjusts both. base
	// stays high after a peak of goroutines: by 3 ms after 100,000, because the runtime
	// visits dead goroutines too.
	base, perGoroutine float64
}

// NewBudget returns a Budget of a share of one core: 0.001 is 60 ms a minute. A share that
// is not in (0, 1] means 0.001. base is the expected cost of the first operation apart from
// its goroutines, such as [ProfileBase].
func NewBudget(share float64, base time.Duration) *Budget {
	if !(share > 0 && share <= 1) {
		share = defaultShare
	}
	return &Budget{share: share, Credit: 10 * time.Minute, base: float64(base), perGoroutine: float64(perGoroutine)}
}

// Share returns the share of one core.
func (b *Budget) Share() float64 { return b.share }

// Next returns how long to wait after an operation of the given cost to keep to the share.
func (b *Budget) Next(cost time.Duration) time.Duration {
	return bounded(math.Ceil(float64(max(cost, 0)) / b.share))
}

// Estimate returns the expected CPU time of an operation with n goroutines.
func (b *Budget) Estimate(n int) time.Duration {
	return bounded(b.base + b.perGoroutine*float64(max(n, 0)))
}

// Allow reports whether the share that has accumulated, at most a minute's, covers an
// operation with n goroutines.
func (b *Budget) Allow(now time.Time, n int) bool {
	return b.saved(now) >= b.Next(b.Estimate(n))
}

// Borrow reports whether an operation with n goroutines is within the credit. Allow
// returns false until the debt is paid back.
func (b *Budget) Borrow(now time.Time, n int) bool {
	return b.saved(now)+b.Credit >= b.Next(b.Estimate(n))
}

// Spend records an operation with n goroutines and the CPU time it used.
func (b *Budget) Spend(now time.Time, n int, cost time.Duration) {
	n = max(n, 0)
	cost = max(cost, time.Duration(n)*minPerGoroutine)
	b.saved(now) // sets paid
	b.paid = b.paid.Add(b.Next(cost))
	if oldest := now.Add(-maxSaved); b.paid.Before(oldest) {
		b.paid = oldest
	}
	b.adjust(float64(n), float64(cost))
}

// adjust corrects half of the error of the last estimate (normalized least mean squares).
// Few goroutines mainly correct the base, many the cost of each: 100 goroutines that cost
// 4 ms do not mean that 100,000 cost 4 s.
func (b *Budget) adjust(n, cost float64) {
	const few = 1000
	size := n / few
	step := 0.5 * (cost - b.base - b.perGoroutine*n) / (1 + size*size)
	b.base = max(b.base+step, 0)
	b.perGoroutine = max(b.perGoroutine+step*size/few, float64(minPerGoroutine))
}

// saved returns the time for which the share has accumulated unspent; negative is a debt.
func (b *Budget) saved(now time.Time) time.Duration {
	if b.paid.IsZero() {
		b.paid = now.Add(-maxSaved) // the first operation need not wait
	}
	return now.Sub(b.paid)
}

// bounded converts nanoseconds, to ten years at most: the sum of two must not overflow.
func bounded(ns float64) time.Duration {
	return time.Duration(min(ns, float64(10*365*24*time.Hour)))
}
