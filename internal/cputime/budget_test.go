// SPDX-License-Identifier: Apache-2.0

package cputime_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/internal/cputime"
)

func start() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }

// newBudget expects what a goroutine profile costs.
func newBudget(share float64) *cputime.Budget {
	return cputime.NewBudget(share, cputime.ProfileBase)
}

func TestNext(t *testing.T) {
	for _, tt := range []struct {
		share float64
		cost  time.Duration
		want  time.Duration
	}{
		{0.001, 27 * time.Millisecond, 27 * time.Second}, // 10,000 goroutines
		{0.001, 270 * time.Millisecond, 270 * time.Second},
		{0.01, 27 * time.Millisecond, 2700 * time.Millisecond},
		{0, time.Millisecond, time.Second}, // the default share
		{-1, time.Millisecond, time.Second},
		{math.NaN(), time.Millisecond, time.Second},
		{2, time.Millisecond, time.Second},
		{0.001, 0, 0},
		{0.001, -time.Second, 0},
	} {
		if got := newBudget(tt.share).Next(tt.cost); got != tt.want {
			t.Errorf("share %v: after %v wait %v, want %v", tt.share, tt.cost, got, tt.want)
		}
	}
	if got := newBudget(0.001).Next(math.MaxInt64); got < 365*24*time.Hour {
		t.Errorf("a cost of 292 years: wait %v", got)
	}
}

func TestEstimateLearns(t *testing.T) {
	b := newBudget(0.001)
	if got, want := b.Estimate(10_000), 35800*time.Microsecond; got != want { // 0.8 ms + 3.5 µs each
		t.Errorf("before the first operation: %v, want %v", got, want)
	}
	learn := func(goroutines int, cost time.Duration) {
		for range 10 {
			b.Spend(start(), goroutines, cost)
		}
	}
	between := func(what string, goroutines int, low, high time.Duration) {
		t.Helper()
		if got := b.Estimate(goroutines); got < low || got > high {
			t.Errorf("%s: %v, want %v to %v", what, got, low, high)
		}
	}
	learn(1000, 8800*time.Microsecond) // deep stacks: 8 µs each
	between("from few to many", 100_000, 500*time.Millisecond, 801*time.Millisecond)
	between("the same number", 1000, 8700*time.Microsecond, 8900*time.Microsecond)
	learn(100_000, 801*time.Millisecond)
	between("many", 100_000, 800*time.Millisecond, 802*time.Millisecond)

	// With a clock that does not advance: 1 µs each.
	learn(100_000, 0)
	between("no cost", 100_000, 100*time.Millisecond, 105*time.Millisecond)
}

// After a peak of 100,000 goroutines every profile takes 3 ms longer. That must not raise
// the estimated cost per goroutine.
func TestEstimateAfterPeak(t *testing.T) {
	b := newBudget(0.001)
	now := start()
	for range 100 {
		b.Spend(now, 100, 4150*time.Microsecond)
		now = now.Add(time.Minute)
	}
	if got := b.Estimate(100).Round(100 * time.Microsecond); got != 4200*time.Microsecond {
		t.Errorf("estimate for 100 is %v, want 4.2 ms", got)
	}
	if got := b.Estimate(100_000); got > 420*time.Millisecond { // 350 ms at 3.5 µs each
		t.Errorf("estimate for 100,000 is %v", got)
	}
	if !b.Borrow(now, 100_000) {
		t.Error("no credit for the second peak")
	}
}

func TestEstimateOfNegativeNumber(t *testing.T) {
	b := newBudget(0.001)
	if got, want := b.Estimate(-1), 800*time.Microsecond; got != want {
		t.Errorf("for -1 goroutines: %v, want %v", got, want)
	}
}

// Allow refuses a sudden rise before any profile of it was paid for.
func TestAllowRefusesSuddenRise(t *testing.T) {
	b := newBudget(0.001)
	now := start()
	for range 10 {
		if !b.Allow(now, 100) {
			t.Fatalf("refused at %v", now)
		}
		b.Spend(now, 100, 1100*time.Microsecond)
		now = now.Add(time.Minute)
	}
	if b.Allow(now, 100_000) { // hundreds of milliseconds: minutes
		t.Error("allowed 100,000 goroutines at the price of 100")
	}
	if !b.Borrow(now, 100_000) {
		t.Error("no credit")
	}
	if !b.Allow(now.Add(6*time.Minute), 100_000) {
		t.Error("refused although enough has accumulated")
	}
}

func TestBorrowIsBoundedAndPaidBack(t *testing.T) {
	b := newBudget(0.001)
	now := start()
	borrowed := 0
	for ; b.Borrow(now, 100_000); borrowed++ {
		b.Spend(now, 100_000, 300*time.Millisecond)
	}
	if borrowed != 2 { // 11 minutes of 60 ms are 660 ms
		t.Errorf("borrowed %d times, want twice", borrowed)
	}
	if b.Allow(now.Add(9*time.Minute), 100) { // 600 ms were spent, 60 ms were there
		t.Error("allowed while in debt")
	}
	if !b.Allow(now.Add(9*time.Minute+2*time.Second), 100) {
		t.Error("refused although the debt is paid")
	}
}

// If the clock is too coarse, Spend charges 1 µs for each goroutine.
func TestSpendChargesMinimum(t *testing.T) {
	b := newBudget(0.001)
	b.Spend(start(), 200_000, 0) // 200 s of the share, of which 60 s were saved
	if b.Allow(start().Add(140*time.Second), 0) {
		t.Error("allowed while in debt")
	}
}

// Over a day the cost is at most the share, a minute saved up, the credit and one wrong
// estimate, for any cost and any times.
func TestShareHoldsOverADay(t *testing.T) {
	const share, day = 0.001, 24 * time.Hour
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 1))
		b := newBudget(share)
		var spent, highest time.Duration
		taken, n := 0, 100
		for now := start(); now.Before(start().Add(day)); now = now.Add(time.Duration(r.IntN(20_000)+1) * time.Millisecond) {
			if r.IntN(50) == 0 {
				n = int(math.Pow(10, 1+5*r.Float64())) // 10 to a million
			}
			if !b.Allow(now, n) && (r.IntN(10) > 0 || !b.Borrow(now, n)) {
				continue
			}
			cost := time.Duration(float64(n) * math.Pow(10, 3+2*r.Float64())) // 1 to 100 µs each
			b.Spend(now, n, cost)
			spent += cost
			highest = max(highest, cost)
			taken++
		}
		budget := time.Duration(share*float64(day+11*time.Minute)) + highest
		if spent > budget {
			t.Errorf("seed %d: %v spent in %d operations, want at most %v", seed, spent, taken, budget)
		}
		if taken == 0 || spent < budget/20 {
			t.Errorf("seed %d: only %v spent in %d operations of %v", seed, spent, taken, budget)
		}
	}
}

// One operation a minute that costs less than a minute's share is always allowed.
func TestAllowWithinShare(t *testing.T) {
	b := newBudget(0.001)
	for now := start(); now.Before(start().Add(24 * time.Hour)); now = now.Add(time.Minute) {
		if !b.Allow(now, 15_000) {
			t.Fatalf("refused after %v", now.Sub(start()))
		}
		b.Spend(now, 15_000, 45*time.Millisecond)
	}
}

func ExampleBudget() {
	b := newBudget(0.001) // of one core
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for minute := range 6 {
		n := 1_000
		if minute > 1 {
			n = 70_000
		}
		if b.Allow(now, n) {
			cost := b.Estimate(n) // or what was measured
			b.Spend(now, n, cost)
			fmt.Println("minute", minute, "profiled", n, "for", cost)
		}
		now = now.Add(time.Minute)
	}
	// Output:
	// minute 0 profiled 1000 for 4.3ms
	// minute 1 profiled 1000 for 4.3ms
	// minute 5 profiled 70000 for 245.8ms
}
