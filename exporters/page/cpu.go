// SPDX-License-Identifier: Apache-2.0

package page

import (
	"net/http"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo/profiler"
)

// cpuJSON is the answer of api/v1/cpu. Times are Unix ms, CPU times seconds.
type cpuJSON struct {
	Every    float64       `json:"every_seconds"`
	For      float64       `json:"profile_seconds"`
	From     int64         `json:"from"` // the time that the profiles stand for
	To       int64         `json:"to"`
	Profiles int           `json:"profiles"`
	Missed   int           `json:"missed"`
	Total    float64       `json:"total_seconds"`
	Observed float64       `json:"observed_seconds"`
	Roots    []cpuRootJSON `json:"roots"`
	Unowned  float64       `json:"unowned_seconds"`
	Agent    float64       `json:"agent_seconds"` // part of unowned_seconds
	Runtime  float64       `json:"runtime_seconds"`
}

type cpuRootJSON struct {
	Root    string  `json:"root"`
	Seconds float64 `json:"seconds"`
	Error   float64 `json:"error"` // standard error, in seconds
	Samples int64   `json:"samples"`
}

// cpuOff explains how to turn CPU profiles on.
const cpuOff = "no CPU profiles are taken: set GMPULSE_CPU_PROFILE=1s/30s, or use agent.WithProfiler"

// takesCPU reports whether CPU profiles are taken.
func (e *Exporter) takesCPU() bool {
	p := e.config.Profiler
	return p != nil && !p.Config().NoCPU
}

// cpu returns the CPU time by root span in a range.
func (e *Exporter) cpu(r *http.Request) (any, error) {
	if !e.takesCPU() {
		return nil, &statusError{http.StatusNotFound, cpuOff}
	}
	from, to, err := timeRange(r)
	if err != nil {
		return nil, err
	}
	return usageJSON(e.config.Profiler.Usage(time.UnixMilli(from), time.UnixMilli(to)), e.config.Profiler.Config()), nil
}

func usageJSON(u profiler.Usage, c profiler.Config) cpuJSON {
	out := cpuJSON{
		Every: c.Every.Seconds(), For: c.For.Seconds(), Profiles: u.Profiles, Missed: u.Missed, Total: u.Total, Observed: u.Observed,
		Roots: []cpuRootJSON{}, Unowned: u.Unowned, Agent: u.Agent, Runtime: u.Runtime,
	}
	if u.Profiles > 0 {
		out.From, out.To = u.From.UnixMilli(), u.To.UnixMilli()
	}
	for _, r := range u.Roots {
		out.Roots = append(out.Roots, cpuRootJSON(r))
	}
	return out
}
