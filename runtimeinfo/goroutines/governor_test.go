// SPDX-License-Identifier: Apache-2.0

package goroutines_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines"
)

func start() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }

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
		if got := goroutines.NewGovernor(tt.share).Next(tt.cost); got != tt.want {
			t.Errorf("share %v: after %v wait %v, want %v", tt.share, tt.cost, got, tt.want)
		}
	}
	if got := goroutines.NewGovernor(0.001).Next(math.MaxInt64); got < 365*24*time.Hour {
		t.Errorf("a cost beyond reason: wait %v", got)
	}
}

func TestEstimateLearns(t *testing.T) {
	g := goroutines.NewGovernor(0.001)
	if got, want := g.Estimate(10_000), 35800*time.Microsecond; got != want { // 0.8 ms + 3.5 µs each
		t.Errorf("before the first survey: %v, want %v", got, want)
	}
	learn := func(goroutines int, cost time.Duration) {
		for range 10 {
			g.Spend(start(), goroutines, cost)
		}
	}
	between := func(what string, goroutines int, low, high time.Duration) {
		t.Helper()
		if got := g.Estimate(goroutines); got < low || got > high {
			t.Errorf("%s: %v, want %v to %v", what, got, low, high)
		}
	}
	learn(1000, 8800*time.Microsecond) // deep stacks: 8 µs each
	between("from few to many", 100_000, 500*time.Millisecond, 801*time.Millisecond)
	between("as many", 1000, 8700*time.Microsecond, 8900*time.Microsecond)
	learn(100_000, 801*time.Millisecond)
	between("many", 100_000, 800*time.Millisecond, 802*time.Millisecond)

	// A clock that stands still does not make them free: 1 µs each.
	learn(100_000, 0)
	between("free", 100_000, 100*time.Millisecond, 105*time.Millisecond)
}

// Once there have been 100,000 goroutines every survey takes 3 ms longer, which
// must not be put down to the hundred that are left.
func TestEstimateAfterAnExplosion(t *testing.T) {
	g := goroutines.NewGovernor(0.001)
	now := start()
	for range 100 {
		g.Spend(now, 100, 4150*time.Microsecond)
		now = now.Add(time.Minute)
	}
	if got := g.Estimate(100).Round(100 * time.Microsecond); got != 4200*time.Microsecond {
		t.Errorf("100 are expected to cost %v, want 4.2 ms", got)
	}
	if got := g.Estimate(100_000); got > 420*time.Millisecond { // 350 ms by the usual cost of each
		t.Errorf("100,000 are expected to cost %v", got)
	}
	if !g.Borrow(now, 100_000) {
		t.Error("no credit for the second explosion")
	}
}

func TestEstimateOfFewerThanNone(t *testing.T) {
	g := goroutines.NewGovernor(0.001)
	if got, want := g.Estimate(-1), 800*time.Microsecond; got != want {
		t.Errorf("of fewer than none: %v, want %v", got, want)
	}
}

// The jump is seen before it is paid for.
func TestAllowSeesAnExplosion(t *testing.T) {
	g := goroutines.NewGovernor(0.001)
	now := start()
	for range 10 {
		if !g.Allow(now, 100) {
			t.Fatalf("refused at %v", now)
		}
		g.Spend(now, 100, 1100*time.Microsecond)
		now = now.Add(time.Minute)
	}
	if g.Allow(now, 100_000) { // hundreds of milliseconds: minutes
		t.Error("100,000 goroutines are surveyed as if they were 100")
	}
	if !g.Borrow(now, 100_000) {
		t.Error("no credit for a suspicion")
	}
	if !g.Allow(now.Add(6*time.Minute), 100_000) {
		t.Error("refused although the time has come")
	}
}

func TestCreditIsBoundedAndPaidBack(t *testing.T) {
	g := goroutines.NewGovernor(0.001)
	now := start()
	borrowed := 0
	for ; g.Borrow(now, 100_000); borrowed++ {
		g.Spend(now, 100_000, 300*time.Millisecond)
	}
	if borrowed != 2 { // 11 minutes of 60 ms are 660 ms
		t.Errorf("borrowed %d times, want twice", borrowed)
	}
	if g.Allow(now.Add(9*time.Minute), 100) { // 600 ms were spent, 60 ms were there
		t.Error("allowed while in debt")
	}
	if !g.Allow(now.Add(9*time.Minute+2*time.Second), 100) {
		t.Error("refused although the debt is paid")
	}
}

// Where the clock is too coarse to see a survey, it is charged 1 µs for each.
func TestNoSurveyIsFree(t *testing.T) {
	g := goroutines.NewGovernor(0.001)
	g.Spend(start(), 200_000, 0) // 200 s of its share, of which 60 s were saved
	if g.Allow(start().Add(140*time.Second), 0) {
		t.Error("allowed while in debt")
	}
}

// Whatever surveys cost and whenever they are wanted, over a day they take
// their share, a minute saved up, the credit, and one wrong estimate.
func TestShareHoldsOverADay(t *testing.T) {
	const share, day = 0.001, 24 * time.Hour
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 1))
		g := goroutines.NewGovernor(share)
		var spent, dearest time.Duration
		taken, n := 0, 100
		for now := start(); now.Before(start().Add(day)); now = now.Add(time.Duration(r.IntN(20_000)+1) * time.Millisecond) {
			if r.IntN(50) == 0 {
				n = int(math.Pow(10, 1+5*r.Float64())) // 10 to a million
			}
			if !g.Allow(now, n) && (r.IntN(10) > 0 || !g.Borrow(now, n)) {
				continue
			}
			cost := time.Duration(float64(n) * math.Pow(10, 3+2*r.Float64())) // 1 to 100 µs each
			g.Spend(now, n, cost)
			spent += cost
			dearest = max(dearest, cost)
			taken++
		}
		budget := time.Duration(share*float64(day+11*time.Minute)) + dearest
		if spent > budget {
			t.Errorf("seed %d: %v spent in %d surveys, want at most %v", seed, spent, taken, budget)
		}
		if taken == 0 || spent < budget/20 {
			t.Errorf("seed %d: only %v spent in %d surveys of %v", seed, spent, taken, budget)
		}
	}
}

// What is asked for every minute and costs less is never refused.
func TestModestSurveysAreAllowed(t *testing.T) {
	g := goroutines.NewGovernor(0.001)
	for now := start(); now.Before(start().Add(24 * time.Hour)); now = now.Add(time.Minute) {
		if !g.Allow(now, 15_000) {
			t.Fatalf("refused after %v", now.Sub(start()))
		}
		g.Spend(now, 15_000, 45*time.Millisecond)
	}
}

func ExampleGovernor() {
	g := goroutines.NewGovernor(0.001) // of one core
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for minute := range 6 {
		n := 1_000
		if minute > 1 {
			n = 70_000
		}
		if g.Allow(now, n) {
			cost := g.Estimate(n) // or Survey.CPU
			g.Spend(now, n, cost)
			fmt.Println("minute", minute, "surveyed", n, "for", cost)
		}
		now = now.Add(time.Minute)
	}
	// Output:
	// minute 0 surveyed 1000 for 4.3ms
	// minute 1 surveyed 1000 for 4.3ms
	// minute 5 surveyed 70000 for 245.8ms
}
