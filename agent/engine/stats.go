// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"time"

	"github.com/gmpulse/gmpulse/exporters"
)

// Stats has statistics of an engine. Counts are cumulative.
type Stats struct {
	// Interval is the configured time between two ticks.
	Interval time.Duration
	// LastTick is the time of the newest snapshot. It is zero before the first.
	LastTick time.Time
	// TickDuration is the duration of the last tick.
	TickDuration time.Duration
	// Ticks is the number of ticks.
	Ticks uint64
	// TicksMissed is the number of ticks that were skipped because an earlier one took too
	// long.
	TicksMissed uint64
	// HostFailures is the number of failures and panics of host sources.
	HostFailures uint64
	// GaugeFailures is the number of calls of gauges that returned no value.
	GaugeFailures uint64
	// Exporters has the statistics of each exporter, in the order of the options.
	Exporters []exporters.Stats
}

// Stalled reports whether the last tick is more than three intervals and two seconds before
// now. It is false before the first tick.
func (s *Stats) Stalled(now time.Time) bool {
	return !s.LastTick.IsZero() && now.Sub(s.LastTick) > 3*s.Interval+2*time.Second
}

// Stats returns the current statistics. It waits at most 10 ms for each exporter with a queue.
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
