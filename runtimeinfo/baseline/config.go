// SPDX-License-Identifier: Apache-2.0

package baseline

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"math"
)

const (
	defaultAlertsPerWeek = 1
	maxSignals           = 32
)

// Config configures a [Watch]. The zero value is ready to use.
type Config struct {
	// AlertsPerWeek is the target number of false alarms per week and signal group. The
	// groups are goroutines, scheduler, gc, memory, cpu, requests, and the application's
	// signals. From 0.01 to 1000; 0 means 1.
	AlertsPerWeek float64
	// Signals are watched in addition to the default ones. At most 32.
	Signals []Signal
	// Ceilings are values at which default signals always raise an alarm, by the name of
	// the signal: {"memory.resident": 0.95}. The name for a root span is
	// "root_span.p99 GET /cart". The log names those that no signal has: [New] at once, a
	// root span that does not occur after an hour. Default none.
	Ceilings map[string]float64
	// StateFile keeps what was learned across restarts. It is replaced every five minutes
	// and when [Watch.Run] ends, by way of a temporary file with the suffix .tmp. One
	// process may use it at a time. If it is not a regular file it is neither read nor
	// replaced. Default none: each start learns anew.
	StateFile string
	// Logger receives a line when the state file cannot be read or written. Default
	// slog.Default().
	Logger *slog.Logger
}

// complete sets the defaults. The error joins every problem.
func (c *Config) complete() error {
	c.AlertsPerWeek = cmp.Or(c.AlertsPerWeek, defaultAlertsPerWeek)
	c.Logger = cmp.Or(c.Logger, slog.Default())
	var errs []error
	if !(c.AlertsPerWeek >= 0.01 && c.AlertsPerWeek <= 1000) {
		errs = append(errs, fmt.Errorf("baseline: AlertsPerWeek: %v is not between 0.01 and 1000", c.AlertsPerWeek))
	}
	if len(c.Signals) > maxSignals {
		errs = append(errs, fmt.Errorf("baseline: Signals: %d of them, want at most %d", len(c.Signals), maxSignals))
	}
	seen := map[string]bool{}
	for _, r := range defaultRows() {
		seen[r.name] = true
	}
	for _, s := range c.Signals {
		switch {
		case s.Metric == "":
			errs = append(errs, errors.New("baseline: Signals: the metric's name is empty"))
		case seen[s.Metric]:
			errs = append(errs, fmt.Errorf("baseline: Signals: %q is watched already", s.Metric))
		case s.Shape > Spiky:
			errs = append(errs, fmt.Errorf("baseline: Signals: %q: Shape %d is neither Steady nor Spiky", s.Metric, s.Shape))
		case math.IsNaN(s.Ceiling) || math.IsInf(s.Ceiling, 0):
			errs = append(errs, fmt.Errorf("baseline: Signals: %q: Ceiling %v is not a number; 0 is none", s.Metric, s.Ceiling))
		}
		seen[s.Metric] = true
	}
	for name, v := range c.Ceilings {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			errs = append(errs, fmt.Errorf("baseline: Ceilings: %q: %v is not a number", name, v))
		}
	}
	return errors.Join(errs...)
}
