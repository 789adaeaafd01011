// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"fmt"

	"github.com/gmpulse/gmpulse/agent/engine"
	"github.com/gmpulse/gmpulse/runtimeinfo/profiler"
	"github.com/gmpulse/gmpulse/tracectx"
)

// makeProfiler makes the profiler and returns the options that add it to the engine. Without
// GMPULSE_CPU_PROFILE or WithProfiler it takes heap and goroutine profiles for evidence, or there is
// none.
func (a *Agent) makeProfiler(s *settings) ([]engine.Option, error) {
	c := profiler.Config{NoCPU: true}
	switch {
	case s.profiler != nil:
		c = *s.profiler
	case s.evidence == nil:
		return nil, nil
	}
	if c.Dir == "" && s.evidence != nil {
		c.Dir = s.evidence.Dir
	}
	if c.RootLabel == "" {
		c.RootLabel, c.EpochLabel, c.Origin = tracectx.RootLabel, tracectx.EpochLabel, a.processor.Origin
	}
	if c.Logger == nil {
		c.Logger = s.logger
	}
	p, err := profiler.New(c)
	if err != nil {
		return nil, fmt.Errorf("agent: GMPULSE_CPU_PROFILE or WithProfiler: %w", err)
	}
	a.profiler = p
	return []engine.Option{engine.WithAnalyzer("profiler", p), engine.WithBackground("profiler", p.Run)}, nil
}
