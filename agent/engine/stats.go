// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// Stats is the engine's account of itself. The same numbers are metrics.
type Stats struct {
	runtimeinfo.Self
	// Interval is the configured time between two ticks.
	Interval time.Duration
	// LastTick is when the newest snapshot was taken; zero before the first.
	LastTick time.Time
}

// Stalled tells whether the loop has missed its time by far: no tick for three
// intervals and two seconds more. Before the first tick it has not.
func (s *Stats) Stalled(now time.Time) bool {
	return !s.LastTick.IsZero() && now.Sub(s.LastTick) > 3*s.Interval+2*time.Second
}

// Stats returns the engine's account of itself.
func (e *Engine) Stats() Stats {
	s := Stats{Self: e.self(time.Now()), Interval: e.config.interval}
	if t := e.lastTick.Load(); t != nil {
		s.LastTick = *t
	}
	return s
}

// self collects what the agent reports of itself.
func (e *Engine) self(now time.Time) runtimeinfo.Self {
	s := runtimeinfo.Self{
		Ticks:         e.ticks.Load(),
		TicksMissed:   e.missed.Load(),
		TickDuration:  time.Duration(e.tickDuration.Load()),
		HostDuration:  -1,
		HostAge:       -1,
		HostFailures:  e.host.reader.Failures(),
		GaugeFailures: e.gauges.failures.Load(),
		Captures:      e.captures(),
		Exporters:     make([]runtimeinfo.ExporterStats, len(e.deliveries)),
	}
	if p := e.host.last.Load(); p != nil {
		s.HostDuration, s.HostAge = p.duration, max(0, now.Sub(p.at))
	}
	for i, d := range e.deliveries {
		s.Exporters[i] = d.Stats()
	}
	return s
}
