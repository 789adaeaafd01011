// SPDX-License-Identifier: Apache-2.0

package host

import (
	"math"

	"github.com/gmpulse/gmpulse/internal/hostfield"
)

// Sample has the values of one pass. It is immutable once [Reader.Read] has returned it.
type Sample struct {
	values [hostfield.Count]float64 // NaN if absent
}

// NewSample returns a sample without values.
func NewSample() *Sample {
	s := new(Sample)
	for i := range s.values {
		s.values[i] = math.NaN()
	}
	return s
}

// Get returns the value of f and whether it is present. A nil Sample has no values.
func (s *Sample) Get(f hostfield.Field) (v float64, ok bool) {
	if s == nil {
		return 0, false
	}
	v = s.values[f]
	return v, !math.IsNaN(v)
}

// Set sets the value of f, for the [Reader] and for tests.
func (s *Sample) Set(f hostfield.Field, v float64) { s.values[f] = v }
