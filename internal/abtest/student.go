// SPDX-License-Identifier: Apache-2.0

package abtest

import "math"

// distribution returns the probability that Student's t with so many degrees of freedom is at most t.
func distribution(t, freedom float64) float64 {
	tail := beta(freedom/(freedom+t*t), freedom/2, 0.5) / 2
	if t > 0 {
		return 1 - tail
	}
	return tail
}

// quantile returns the p-quantile of Student's t, for p from 0.5 to below 1. It is 0 if freedom is not
// positive.
func quantile(p, freedom float64) float64 {
	if freedom <= 0 {
		return 0
	}
	low, high := 0.0, 1.0
	for distribution(high, freedom) < p && high < 1e6 {
		low, high = high, 2*high
	}
	for range 60 {
		if mid := (low + high) / 2; distribution(mid, freedom) < p {
			low = mid
		} else {
			high = mid
		}
	}
	return high
}

// beta returns the regularized incomplete beta function by its continued fraction, evaluated with
// Lentz's method (Numerical Recipes, 3rd edition, 6.4).
func beta(x, a, b float64) float64 {
	if x <= 0 || x >= 1 {
		return math.Min(math.Max(x, 0), 1)
	}
	if x > (a+1)/(a+b+2) { // where the fraction converges slowly
		return 1 - beta(1-x, b, a)
	}
	la, _ := math.Lgamma(a)
	lb, _ := math.Lgamma(b)
	lab, _ := math.Lgamma(a + b)
	front := math.Exp(lab-la-lb+a*math.Log(x)+b*math.Log1p(-x)) / a
	const tiny, precision = 1e-300, 1e-14
	f, c, d := 1.0, 1.0, 0.0
	for i := range 400 {
		m := float64(i / 2)
		var term float64
		switch {
		case i == 0:
			term = 1
		case i%2 == 0:
			term = m * (b - m) * x / ((a + 2*m - 1) * (a + 2*m))
		default:
			term = -(a + m) * (a + b + m) * x / ((a + 2*m) * (a + 2*m + 1))
		}
		if d = 1 + term*d; math.Abs(d) < tiny {
			d = tiny
		}
		if c = 1 + term/c; math.Abs(c) < tiny {
			c = tiny
		}
		d = 1 / d
		f *= c * d
		if math.Abs(1-c*d) < precision {
			return front * (f - 1)
		}
	}
	return front * (f - 1)
}
