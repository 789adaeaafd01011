// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"runtime/pprof"
	"time"

	"github.com/gmpulse/gmpulse/internal/cputime"
)

const (
	// pulseInterval differs from 100 ms, the period of CPU quotas in Linux. A ticker in step
	// with that period would fire only in the part of each period in which the process runs.
	pulseInterval = 87 * time.Millisecond
	// maxPulseInterval is the interval in an idle process.
	maxPulseInterval = time.Second
	// idleShare is the share of one core below which the process is idle. The ticks of an idle
	// process need about 0.0004.
	idleShare = 0.005
)

// pulse reads the gauges of the scheduler between ticks.
func (e *Engine) pulse(ctx context.Context) {
	if e.config.interval <= pulseInterval {
		return // the ticks are frequent enough
	}
	pprof.Do(ctx, pprof.Labels(ProfilerLabel, "pulse"), func(ctx context.Context) {
		clock := pulseClock{interval: pulseInterval, most: min(maxPulseInterval, e.config.interval), cpu: cputime.Process()}
		timer := time.NewTimer(clock.interval)
		defer timer.Stop()
		due := time.Now().Add(clock.interval)
		for {
			select {
			case <-ctx.Done():
				return
			case <-timer.C:
			}
			now := time.Now()
			e.reader.Pulse(max(0, now.Sub(due)))
			due = clock.next(due, now, cputime.Process())
			timer.Reset(due.Sub(now))
		}
	})
}

// pulseClock chooses the time of the next pulse. While the process uses no CPU time, the interval
// doubles up to a limit, because each pulse wakes a sleeping processor.
type pulseClock struct {
	interval, most time.Duration
	cpu            time.Duration // of the process at the last pulse; 0 if the system does not report it
}

// next returns when the next pulse is due. due and now are the times at which the last pulse was
// due and made, and cpu is the CPU time of the process.
func (c *pulseClock) next(due, now time.Time, cpu time.Duration) time.Time {
	used, passed := cpu-c.cpu, c.interval+now.Sub(due)
	idle := cpu > 0 && float64(used) < idleShare*float64(passed)
	c.cpu = cpu
	if idle {
		c.interval = min(2*c.interval, c.most)
	} else {
		c.interval = pulseInterval
	}
	due = due.Add(now.Sub(due).Truncate(c.interval)) // pulses that were missed are not made up for
	return due.Add(c.interval)
}
