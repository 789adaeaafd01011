// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"runtime/pprof"
	"sync/atomic"
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

// pulses decides whether the scheduler is read between ticks. Each sleeping processor that wakes costs
// more than a reading. While the process is idle, the goroutine of the pulses rests, and each tick
// reads the scheduler as a pulse would.
type pulses struct {
	resting atomic.Bool
	wake    chan struct{} // ends the rest; capacity 1

	// The last reading of the CPU time. The goroutine of the pulses sets it before it rests. Then
	// only ticks use it.
	cpu time.Duration
	at  time.Time
}

// rest waits until a tick finds that the process has worked, or ctx is done.
func (p *pulses) rest(ctx context.Context, now time.Time, cpu time.Duration) {
	p.cpu, p.at = cpu, now
	p.resting.Store(true)
	select {
	case <-ctx.Done():
	case <-p.wake:
	}
}

// tick is called at each tick during a rest. It ends the rest if the process has used CPU time since the
// last tick.
func (p *pulses) tick(now time.Time, cpu time.Duration) {
	if isIdle(cpu, cpu-p.cpu, now.Sub(p.at)) {
		p.cpu, p.at = cpu, now
		return
	}
	p.resting.Store(false)
	p.wake <- struct{}{} // does not wait: resting was true, so the last value was received
}

// isIdle reports whether a process with the given CPU time, which is 0 if the system does not report
// it, is idle: it has used almost nothing of it.
func isIdle(cpu, used, passed time.Duration) bool {
	return cpu > 0 && float64(used) < idleShare*float64(passed)
}

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
			if clock.interval == e.config.interval { // idle, and the ticks are as frequent
				e.pulses.rest(ctx, now, clock.cpu)
				now = time.Now()
				due = clock.restart(now, cputime.Process())
			}
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
	c.cpu = cpu
	if isIdle(cpu, used, passed) {
		c.interval = min(2*c.interval, c.most)
	} else {
		c.interval = pulseInterval
	}
	due = due.Add(now.Sub(due).Truncate(c.interval)) // pulses that were missed are not made up for
	return due.Add(c.interval)
}

// restart begins anew after a rest. It returns when the next pulse is due.
func (c *pulseClock) restart(now time.Time, cpu time.Duration) time.Time {
	c.interval, c.cpu = pulseInterval, cpu
	return now.Add(c.interval)
}
