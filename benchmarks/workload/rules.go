// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// rule is another tool's rule for one signal. alarm takes the signal's value once a
// second and reports whether the signal is in alarm.
type rule interface{ alarm(v float64) bool }

// rules returns the rules of other tools. new returns a rule for one more signal.
func rules(learning int) []struct {
	name string
	new  func() rule
} {
	return []struct {
		name string
		new  func() rule
	}{
		{"static: 3× the initial mean, for 5 s", func() rule { return &static{learning: learning} }},
		{"holmes: 20 % above the mean of ten samples", func() rule { return new(holmes) }},
		{"EWMA: mean + 4 σ, for 3 s", func() rule { return new(ewma) }},
	}
}

// static is a fixed threshold, chosen from the mean while learning.
type static struct {
	learning int
	sum      float64
	n, on    int
}

func (s *static) alarm(v float64) bool {
	if s.n < s.learning {
		s.sum += v
		s.n++
		return false
	}
	if v > 3*s.sum/float64(s.n) {
		s.on++
	} else {
		s.on = 0
	}
	return s.on >= 5
}

// holmes is the rule of mosn/holmes: 20 % above the mean of the last ten samples.
type holmes struct {
	last [10]float64
	n    int
}

func (h *holmes) alarm(v float64) bool {
	var sum float64
	for _, x := range h.last {
		sum += x
	}
	on := h.n >= len(h.last) && v > 1.2*sum/float64(len(h.last))
	h.last[h.n%len(h.last)] = v
	h.n++
	return on
}

// ewma is the rule with exponentially weighted mean and variance.
type ewma struct {
	mean, variance float64
	n, on          int
}

func (e *ewma) alarm(v float64) bool {
	e.n++
	d := v - e.mean
	if e.n > 120 && d > 4*math.Sqrt(e.variance)+1e-9 {
		e.on++
	} else {
		e.on = 0
	}
	a := max(0.005, 1/float64(e.n))
	e.mean += a * d
	e.variance = (1 - a) * (e.variance + a*d*d)
	return e.on >= 3
}

// alerter evaluates one rule on all signals. Its alert is up from the first signal in
// alarm until two minutes after the last.
type alerter struct {
	name   string
	new    func() rule
	rules  map[string]rule // by signal
	up     bool
	normal int // seconds since the last signal in alarm
}

// closeAfter is the same as for the baselines.
const closeAfter = 120

// evaluate takes the signals of one second. It reports whether a new alert has begun,
// and which signal caused it.
func (a *alerter) evaluate(bands []runtimeinfo.Band) (begun bool, signal string) {
	on := false
	for i := range bands {
		b := &bands[i]
		if a.rules[b.Signal] == nil {
			a.rules[b.Signal] = a.new()
		}
		if a.rules[b.Signal].alarm(b.Value) && !on {
			on, signal = true, b.Signal
		}
	}
	begun = on && !a.up
	switch {
	case on:
		a.up, a.normal = true, 0
	case a.up:
		if a.normal++; a.normal > closeAfter {
			a.up = false
		}
	}
	return begun, signal
}
