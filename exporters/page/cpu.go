// SPDX-License-Identifier: Apache-2.0

package page

import (
	"net/http"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo/profiler"
)

// cpuJSON is the answer of api/v1/cpu.
type cpuJSON struct {
	Every float64 `json:"every_seconds"`
	For   float64 `json:"profile_seconds"`
	From  int64   `json:"from"` // Unix ms; 0 without profiles
	To    int64   `json:"to"`
	profiler.Usage
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
	from, to, err := timeRange(r, "")
	if err != nil {
		return nil, err
	}
	p := e.config.Profiler
	out := cpuJSON{Every: p.Config().Every.Seconds(), For: p.Config().For.Seconds(), Usage: p.Usage(time.UnixMilli(from), time.UnixMilli(to))}
	if out.Profiles > 0 {
		out.From, out.To = out.Usage.From.UnixMilli(), out.Usage.To.UnixMilli()
	} else {
		out.Roots = []profiler.RootUsage{}
	}
	return out, nil
}
