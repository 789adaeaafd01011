// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"cmp"

	"github.com/gmpulse/gmpulse/runtimeinfo/profiler"
	"github.com/gmpulse/gmpulse/tracectx"
)

// newProfiler makes the profiler. Without GMPULSE_CPU_PROFILE or WithProfiler it takes heap and
// goroutine profiles for evidence, or there is none.
func (a *Agent) newProfiler(s *settings) (*profiler.Profiler, error) {
	c := profiler.Config{NoCPU: true}
	switch {
	case s.profiler != nil:
		c = *s.profiler
	case s.evidence == nil:
		return nil, nil //nolint:nilnil // off
	}
	if c.Dir == "" && s.evidence != nil {
		c.Dir = s.evidence.Dir
	}
	if c.RootLabel == "" {
		c.RootLabel, c.EpochLabel, c.Origin = tracectx.RootLabel, tracectx.EpochLabel, a.processor.Origin
	}
	c.Logger = cmp.Or(c.Logger, s.logger)
	p, err := profiler.New(c)
	return p, about("GMPULSE_CPU_PROFILE or WithProfiler", err)
}
