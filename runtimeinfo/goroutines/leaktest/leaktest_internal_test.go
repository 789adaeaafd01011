package leaktest

import (
	"errors"
	"testing"
	"testing/synctest"

	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines"
)

// A test that leaves more goroutines than can be surveyed has not passed.
func TestTooManyLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before, err := goroutines.NewSurveyor(goroutines.Config{}).Take(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		left, err := settle(goroutines.NewSurveyor(goroutines.Config{MaxGoroutines: 1}), before)
		if !errors.Is(err, goroutines.ErrTooMany) {
			t.Errorf("%v are left, error %v", left, err)
		}
	})
}
