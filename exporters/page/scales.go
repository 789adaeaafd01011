// SPDX-License-Identifier: Apache-2.0

package page

import (
	"strings"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// maxRanked is the score from which on it matters no more how large it is: what was
// always zero before scores anything.
const maxRanked = 50

// scales tells by its metric what a change of a column means.
type scales map[string]*runtimeinfo.Metric // by key

func (e *Exporter) scales() scales {
	all := scales{}
	if s := e.latest.Load(); s != nil {
		for _, m := range s.Metrics() {
			all[m.Key()] = m
		}
	}
	return all
}

func (s scales) metric(column string) *runtimeinfo.Metric {
	key, _, _ := strings.Cut(column, "{")
	return s[key]
}

// least is the change of a column that a healthy process has all the time, in the unit
// of the column: a counter's is a rate per second.
func (s scales) least(column string) float64 {
	m := s.metric(column)
	if m == nil {
		return 1e-9
	}
	switch {
	case m.Unit == "By":
		return 256 << 10
	case m.Unit == "s" && m.Kind == runtimeinfo.KindCounter:
		return 0.01 // a hundredth of a core, or of the time
	case m.Unit == "s":
		return 1e-3
	case m.Unit == "1":
		return 0.01
	case m.Subsystem == runtimeinfo.SubsystemUser && m.Kind != runtimeinfo.KindCounter:
		return 1e-9 // nobody knows the scale of an application's own number
	default:
		return 1
	}
}

// weight is how much a change of a column tells about the service: its goroutines most,
// the machine, which others use too, and the agent's own cost least.
func (s scales) weight(column string) float64 {
	m := s.metric(column)
	switch {
	case strings.HasPrefix(column, "band."):
		return 0.1
	case m == nil:
		return 1
	case strings.Contains(column, "goroutine"):
		return 4
	case m.Subsystem == runtimeinfo.SubsystemSystem:
		return 0.25
	case m.Subsystem == runtimeinfo.SubsystemAgent:
		return 0.1
	default:
		return 1
	}
}
