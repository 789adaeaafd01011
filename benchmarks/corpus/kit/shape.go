// SPDX-License-Identifier: Apache-2.0

package kit

import (
	"context"
	"math/rand/v2"
	"time"
)

// Shape is a rate per second over a run: points of (fraction of the run, rate)
// joined by straight lines.
type Shape [][2]float64

// Wave rises to peak within a minute or so, as a promotion does, stays there, falls,
// rises again slowly, as a morning does, falls, and is zero for the last fifth of the
// run. Minutes are minutes of a run of ten.
func Wave(peak float64) Shape {
	return Shape{
		{0, 0.1 * peak}, {0.05, 0.1 * peak}, {0.12, peak}, {0.25, peak}, {0.35, 0.2 * peak},
		{0.6, 0.9 * peak}, {0.7, 0.9 * peak}, {0.78, 0.1 * peak}, {0.8, 0}, {1, 0},
	}
}

// Constant is the same rate from start to end.
func Constant(rate float64) Shape { return Shape{{0, rate}, {1, rate}} }

// At returns the rate at the fraction x of the run.
func (s Shape) At(x float64) float64 {
	for i := 1; i < len(s); i++ {
		a, b := s[i-1], s[i]
		if x <= b[0] {
			return a[1] + (b[1]-a[1])*(x-a[0])/max(b[0]-a[0], 1e-9)
		}
	}
	return s[len(s)-1][1]
}

// Clock measures the progress of a run.
type Clock struct {
	Start time.Time
	For   time.Duration
}

// X returns the fraction of the run that is over.
func (c Clock) X() float64 { return time.Since(c.Start).Seconds() / c.For.Seconds() }

// Arrivals calls f for each arrival of a Poisson process until ctx ends.
func (c Clock) Arrivals(ctx context.Context, s Shape, f func()) {
	const look = 500 * time.Millisecond // how often the rate is looked at while it is low
	for {
		rate, wait := s.At(c.X()), look
		if rate > 0 {
			wait = min(look, time.Duration(rand.ExpFloat64()/rate*float64(time.Second)))
		}
		if !Sleep(ctx, wait) {
			return
		}
		if rate > 0 && wait < look {
			f()
		}
	}
}

// Sleep waits for d and reports whether ctx is still alive then.
func Sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// Around returns a random duration with the given mean, between a third of it and
// three times it.
func Around(mean time.Duration) time.Duration {
	d := mean/3 + time.Duration(rand.ExpFloat64()*float64(mean)*2/3)
	return min(d, 3*mean)
}
