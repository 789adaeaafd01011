// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"

	"github.com/aclements/go-moremath/stats"
)

// interval is the geometric mean of ratios and its 95 % confidence interval.
type interval struct {
	mean, low, high float64
	pairs           int
}

// ratioInterval returns the interval of Student's t of the logarithms of ratios.
func ratioInterval(logs []float64) interval {
	mean, low, high := stats.MeanCI(logs, 0.95)
	return interval{math.Exp(mean), math.Exp(low), math.Exp(high), len(logs)}
}

// half returns half the width of the interval.
func (i interval) half() float64 { return (i.high - i.low) / 2 }
