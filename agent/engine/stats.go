// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"time"

	"github.com/gmpulse/gmpulse/exporters"
)

// Stats is the engine's account of itself. Counts are cumulative.
type Stats struct {
	// Interval is the configured time between two ticks.
	Interval time.Duration
	// LastTick is when the newest snapshot was taken; zero before the first.
	LastTick time.Time
	// TickDuration is how long it took.
	TickDuration time.Duration
	// Ticks were made, TicksMissed left out because the tick before took too long.
	Ticks, TicksMissed uint64
	// HostFailures counts failures and panics of host sources, GaugeFailures the calls of
	// gauges that returned no value.
	HostFailures, GaugeFailures uint64
	// Exporters has the account of each exporter, in the order of the options.
	Exporters []exporters.Stats
}

// Stalled reports whether no tick was made for so long that something is wrong.
func (s *Stats) Stalled(now time.Time) bool {
	return !s.LastTick.IsZero() && now.Sub(s.LastTick) > 3*s.Interval+2*time.Second
}

// Stats returns the account so far. It may be called from any goroutine.
func (e *Engine) Stats() Stats {
	s := Stats{
		Interval:      e.config.interval,
		TickDuration:  time.Duration(e.tickDuration.Load()),
		Ticks:         e.ticks.Load(),
		TicksMissed:   e.missed.Load(),
		HostFailures:  e.host.reader.Failures(),
		GaugeFailures: e.gauges.failures.Load(),
		Exporters:     make([]exporters.Stats, len(e.deliveries)),
	}
	if t := e.lastTick.Load(); t != nil {
		s.LastTick = *t
	}
	for i, d := range e.deliveries {
		s.Exporters[i] = d.Stats()
	}
	return s
}
