// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"
	"testing"
)

// The quantiles of Student's t are from a printed table: 2.776 for 4 degrees of freedom.
func TestRatioInterval(t *testing.T) {
	got := ratioInterval([]float64{-0.02, -0.01, 0, 0.01, 0.02})
	half := 2.776 * math.Sqrt(0.00025) / math.Sqrt(5)
	want := interval{1, math.Exp(-half), math.Exp(half), 5}
	for _, x := range [][2]float64{{got.mean, want.mean}, {got.low, want.low}, {got.high, want.high}} {
		if math.Abs(x[0]-x[1]) > 1e-5 {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
	if one := ratioInterval([]float64{0.1}); !math.IsInf(one.half(), 1) {
		t.Errorf("the interval of one ratio is %+v, want an infinite one", one)
	}
}
