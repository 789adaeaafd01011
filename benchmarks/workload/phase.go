// SPDX-License-Identifier: Apache-2.0

package main

import (
	"runtime/debug"
	"time"
)

// phase is a piece of the service's life, in scaled seconds.
type phase struct {
	name  string
	lasts int
	// within is how soon an alert is wanted, in scaled seconds; 0 is none at all.
	within int
	// do is called at every tick.
	do func(s *service, second int)
}

func (p *phase) trouble() bool { return p.within > 0 }

func clean(d time.Duration) phase {
	return phase{name: "clean", lasts: int(d.Seconds()), do: wobble}
}

// wobble is the traffic of a quiet day: it comes and goes by a fifth.
func wobble(s *service, second int) {
	const period = 1200
	at := float64(second%period) / period
	triangle := 4*max(at, 1-at) - 3 // -1 to 1
	s.rate.Store(int64(requestsPerSecond * (1 + 0.2*triangle)))
}

func everything(tick time.Duration) []phase {
	return []phase{
		clean(20 * time.Minute),
		{"promotion, four times the load", 600, 0, promotion},
		{"leak of 1 goroutine/s", 60, 15, func(s *service, _ int) { s.leak(1) }},
		{"leak of 1 goroutine/min", 1800, 1800, func(s *service, i int) {
			if i%60 == 0 {
				s.leak(1)
			}
		}},
		{"GC thrash, at GOMEMLIMIT", 60, 10, func(*service, int) { debug.SetMemoryLimit(1) }}, // the runtime stops at half of the CPU
		{"CPU theft, 60 % of the time", 60, 10, func(s *service, i int) {
			if i == 0 {
				s.thief = newThief(s.ctx, tick)
			}
		}},
		{"scheduler starvation", 60, 10, func(s *service, i int) {
			if i == 0 {
				s.starve()
			}
		}},
		{"lock convoy of 3 ms", 60, 30, func(s *service, _ int) { s.convoy.Store(true) }},
		{"memory leak of 1 %/min", 700, 600, func(s *service, _ int) { s.remember((ballast + nodes*48) / 100 / 60) }},
	}
}

// thinSample are the troubles that show within seconds, and the promotion.
func thinSample(tick time.Duration) (some []phase) {
	for _, p := range everything(tick) {
		if p.lasts <= 600 && p.name != "clean" {
			some = append(some, p)
		}
	}
	return some
}

// promotion ramps to four times the load in 100 s, holds it for 300 s and ramps
// down: a third of the workers are busy at the top.
func promotion(s *service, second int) {
	factor := 4.0
	switch {
	case second < 100:
		factor = 1 + 3*float64(second)/100
	case second > 400:
		factor = max(1, 4-3*float64(second-400)/100)
	}
	s.rate.Store(int64(requestsPerSecond * factor))
}
