// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// rule is what another tool would say of one signal, a value a second: true while
// it is in alarm.
type rule interface{ alarm(v float64) bool }

// rules are those we measure against, with a new one for every signal.
func rules(learning int) []struct {
	name string
	new  func() rule
} {
	return []struct {
		name string
		new  func() rule
	}{
		{"static: 3× the mean at first, for 5 s", func() rule { return &static{learning: learning} }},
		{"holmes: 20 % above the mean of ten", func() rule { return new(holmes) }},
		{"EWMA: mean + 4 σ, for 3 s", func() rule { return new(ewma) }},
	}
}

// static is a threshold that somebody set by what was usual.
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

// holmes is the rule of mosn/holmes: more than a fifth above the mean of ten.
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

// ewma is mean and deviation with exponential forgetting.
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

// jury lets one rule watch all signals: its alert is up while any of them is in
// alarm, and the same alert for two minutes after.
type jury struct {
	name    string
	new     func() rule
	members map[string]rule
	up      bool
	quiet   int
}

// lull is as long as that of the baselines.
const lull = 120

// ask shows the jury a second and tells whether a new alert has begun.
func (j *jury) ask(bands []runtimeinfo.Band) (begun bool, why string) {
	on := false
	for i := range bands {
		b := &bands[i]
		if j.members[b.Signal] == nil {
			j.members[b.Signal] = j.new()
		}
		if j.members[b.Signal].alarm(b.Value) && !on {
			on, why = true, b.Signal
		}
	}
	begun = on && !j.up
	switch {
	case on:
		j.up, j.quiet = true, 0
	case j.up:
		if j.quiet++; j.quiet > lull {
			j.up = false
		}
	}
	return begun, why
}
