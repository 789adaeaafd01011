// SPDX-License-Identifier: Apache-2.0

package rarity

import "math"

// Mean is a running mean and variance: of all values at first, later exponentially
// weighted.
type Mean struct {
	Mean, Variance float64
	N              uint32
}

// Add adds a value. rate is its weight once there are more than 1/rate values.
func (m *Mean) Add(x, rate float64) {
	if m.N < math.MaxUint32 {
		m.N++
	}
	a := max(rate, 1/float64(m.N))
	d := x - m.Mean
	m.Mean += a * d
	m.Variance = (1 - a) * (m.Variance + a*d*d)
}

// Deviation returns the standard deviation.
func (m *Mean) Deviation() float64 { return math.Sqrt(m.Variance) }

// deviationWithPrior returns the deviation if prior's variance had been seen in so many
// samples before.
func (m *Mean) deviationWithPrior(prior *Mean, samples float64) float64 {
	n := float64(m.N)
	return math.Sqrt((n*m.Variance + samples*prior.Variance) / (n + samples))
}

// Valid reports whether the mean is within limit of 0 and the variance within its square.
func (m *Mean) Valid(limit float64) bool {
	return Within(m.Mean, -limit, limit) && Within(m.Variance, 0, limit*limit)
}

// Within reports whether v is a number between least and most.
func Within(v, least, most float64) bool { return v >= least && v <= most }
