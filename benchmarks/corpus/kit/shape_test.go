// SPDX-License-Identifier: Apache-2.0

package kit

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestShape(t *testing.T) {
	wave := Wave(10)
	for x, want := range map[float64]float64{0: 1, 0.085: 5.5, 0.12: 10, 0.25: 10, 0.35: 2, 0.65: 9, 0.8: 0, 0.9: 0, 1.5: 0} {
		if got := wave.At(x); got < want-1e-9 || got > want+1e-9 {
			t.Errorf("at %v: %v, want %v", x, got, want)
		}
	}
}

func TestArrivals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		c := Clock{time.Now(), time.Hour}
		last, n := time.Now(), 0
		c.Arrivals(ctx, Wave(2), func() { last = time.Now(); n++ })
		// The area below the wave is 0.5020 of its peak; five standard deviations are 300.
		if n < 3313 || n > 3914 {
			t.Errorf("%d arrivals in an hour, want 3614", n)
		}
		if x := last.Sub(c.Start).Hours(); x > 0.8 {
			t.Errorf("the last arrival came at %v of the run, want none after 0.8", x)
		}
	})
}
