// SPDX-License-Identifier: Apache-2.0

package main

import (
	"runtime/debug"
	"time"
)

// phase is a part of a run. Its times are in scaled seconds.
type phase struct {
	name  string
	lasts int
	// within is the time within which an alert is wanted; 0 if no alert is wanted.
	within int
	// do is called at every tick.
	do func(s *service, second int)
}

func (p *phase) fault() bool { return p.within > 0 }

func clean(d time.Duration) phase {
	return phase{name: "clean", lasts: int(d.Seconds()), do: normalTraffic}
}

// normalTraffic varies the rate of requests by up to a fifth.
func normalTraffic(s *service, second int) {
	const period = 1200
	at := float64(second%period) / period
	triangle := 4*max(at, 1-at) - 3 // -1 to 1
	s.rate.Store(int64(requestsPerSecond * (1 + 0.2*triangle)))
}

func allPhases(tick time.Duration) []phase {
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
		{"CPU theft, stopped 60 % of the time", 60, 10, func(s *service, i int) {
			if i == 0 {
				s.staller = newStaller(s.ctx, tick)
			}
		}},
		{"scheduler starvation", 60, 10, func(s *service, i int) {
			if i == 0 {
				s.starveScheduler()
			}
		}},
		{"lock convoy of 3 ms", 60, 30, func(s *service, _ int) { s.convoy.Store(true) }},
		{"memory leak of 1 %/min", 700, 600, func(s *service, _ int) { s.leakMemory((ballast + nodes*48) / 100 / 60) }},
	}
}

// fastFaults returns the faults that can be detected within seconds, and the promotion.
func fastFaults(tick time.Duration) (some []phase) {
	for _, p := range allPhases(tick) {
		if p.lasts <= 600 && p.name != "clean" {
			some = append(some, p)
		}
	}
	return some
}

// promotion raises the load to four times in 100 s, keeps it for 300 s and lowers it in
// 100 s. At the maximum a third of the workers are busy.
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
