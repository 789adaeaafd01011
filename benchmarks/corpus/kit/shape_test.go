package kit

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestShape(t *testing.T) {
	wave := Wave(10)
	for x, want := range map[float64]float64{0: 1, 0.175: 5.5, 0.35: 10, 0.5: 10, 0.75: 1, 0.8: 0, 0.9: 0, 1.5: 0} {
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
		// The area below the wave is 0.4825 of its peak; five standard deviations are 295.
		if n < 3179 || n > 3769 {
			t.Errorf("%d arrivals in an hour, want 3,474", n)
		}
		if x := last.Sub(c.Start).Hours(); x > 0.8 {
			t.Errorf("the last arrival came at %v of the run, want none after 0.8", x)
		}
	})
}
