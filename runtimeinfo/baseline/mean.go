// SPDX-License-Identifier: Apache-2.0

package baseline

import "math"

// mean follows a series: the average of all at first, later one that forgets.
type mean struct {
	Mean, Variance float64
	N              uint32
}

// add takes a value; rate is how much the newest counts once there are many.
func (m *mean) add(x, rate float64) {
	if m.N < math.MaxUint32 {
		m.N++
	}
	a := max(rate, 1/float64(m.N))
	d := x - m.Mean
	m.Mean += a * d
	m.Variance = (1 - a) * (m.Variance + a*d*d)
}

func (m *mean) deviation() float64 { return math.Sqrt(m.Variance) }

// deviationOf is the deviation, where before any sample that of whole was seen in
// so many.
func (m *mean) deviationOf(whole *mean, samples float64) float64 {
	n := float64(m.N)
	return math.Sqrt((n*m.Variance + samples*whole.Variance) / (n + samples))
}
