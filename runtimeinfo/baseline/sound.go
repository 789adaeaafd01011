// SPDX-License-Identifier: Apache-2.0

package baseline

import "math"

// The bounds of what can be learned. A checksum does not tell who wrote a file: one
// number that is not finite, or out of its range, would be an index out of range later.
const (
	// mostFolded bounds what is in e-folds: fold gives at most 60.
	mostFolded = 1e4
	// mostValue bounds the samples of a Series, which tame keeps below 1e30.
	mostValue = 1e31
	// mostStep bounds the logarithmic steps of a float64.
	mostStep = 20_000
)

// sound reports whether the numbers can be what was learned.
func (s *stored) sound() bool {
	l := &s.Learned
	return within(l.Scale, 0, 1e200) && l.Scale > 0 && within(l.Rare, 0, mostFolded) &&
		l.Fast.sound() && l.Slow.sound() && s.Minute.sound()
}

func (e *evidence) sound() bool {
	for _, v := range e.Curve.Mean {
		if !within(float64(v), -mostFolded, mostFolded) {
			return false
		}
	}
	return e.Seen.sound() && e.Drift.sound(mostFolded) && within(e.Sum, 0, mostFolded) &&
		within(e.Bar, 0, mostFolded) && within(float64(e.Age), 0, mostValue)
}

func (s *seriesState) sound() bool {
	for i := range s.Ladders {
		l := &s.Ladders[i]
		if !l.Cur.sound() || !l.Old.sound() || l.Top < -mostStep || l.Top > mostStep {
			return false
		}
	}
	for _, v := range s.Day.Mean {
		if !within(float64(v), -mostValue, mostValue) {
			return false
		}
	}
	for _, m := range []*mean{&s.Fast, &s.Slow, &s.Smooth, &s.Volatility, &s.Residual, &s.Step} {
		if !m.sound(4 * mostValue) {
			return false
		}
	}
	return within(s.Last, -mostValue, mostValue) && within(s.Peak, 0, mostFolded) &&
		s.Left >= 0 && s.Age >= 0 && s.Outliers >= 0
}

func (m *mean) sound(most float64) bool {
	return within(m.Mean, -most, most) && within(m.Variance, 0, most*most)
}

func (c *counts) sound() bool {
	var n int32
	for _, v := range c.C {
		n += int32(v)
	}
	return n == c.N
}

// within reports whether v is a number between least and most.
func within(v, least, most float64) bool {
	return !math.IsNaN(v) && v >= least && v <= most
}
