// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestPulsesOfIdleProcessesAreRare(t *testing.T) {
	at := time.Now()
	c := pulseClock{interval: pulseInterval, most: time.Second, cpu: time.Second}
	cpu, due := c.cpu, at.Add(pulseInterval)
	step := func(used, late time.Duration) time.Duration {
		last := due
		cpu += used
		due = c.next(due, due.Add(late), cpu)
		return due.Sub(last)
	}
	for _, want := range []time.Duration{2 * pulseInterval, 4 * pulseInterval, 8 * pulseInterval, time.Second, time.Second} {
		if got := step(50*time.Microsecond, 0); got != want {
			t.Errorf("the next pulse of an idle process is due after %v, want %v", got, want)
		}
	}
	if got := step(50*time.Millisecond, 0); got != pulseInterval {
		t.Errorf("the next pulse is due after %v, want %v: the process has worked", got, pulseInterval)
	}
	if got := step(2*time.Millisecond, 3*pulseInterval+time.Millisecond); got != 4*pulseInterval {
		t.Errorf("after three missed pulses the next one is due after %v, want %v", got, 4*pulseInterval)
	}
	c.cpu, cpu = 0, 0 // the system does not report it
	if got := step(0, 0); got != pulseInterval {
		t.Errorf("without a reading of the CPU time the next pulse is due after %v, want %v", got, pulseInterval)
	}
}

// While the goroutine of the pulses rests, ticks read the scheduler in its place, until the process works.
func TestTicksReplacePulsesOfIdleProcesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &pulses{wake: make(chan struct{}, 1)}
		cpu := time.Second
		tick := func(used time.Duration) (resting bool) {
			time.Sleep(time.Second)
			cpu += used
			if resting = p.resting.Load(); resting {
				p.tick(time.Now(), cpu)
			}
			return resting
		}
		if tick(0) {
			t.Error("a tick reads the scheduler, which the goroutine of the pulses does")
		}
		ctx, cancel := context.WithCancel(t.Context())
		rested := false
		rest := func() {
			rested = false
			go func() {
				p.rest(ctx, time.Now(), cpu)
				rested = true
			}()
			synctest.Wait()
		}
		rest()
		for range 3 {
			if !tick(time.Millisecond) || rested {
				t.Error("the rest of an idle process has ended, or its tick does not read the scheduler")
			}
		}
		for range 2 { // the second one must not wait
			tick(50 * time.Millisecond)
			synctest.Wait()
			if !rested {
				t.Error("the process has worked, and the rest has not ended")
			}
		}
		rest()
		if rested {
			t.Error("the rest ended at once")
		}
		cancel()
		synctest.Wait()
		if !rested {
			t.Error("the rest has not ended with its context")
		}
	})
}
