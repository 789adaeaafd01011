// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"testing"
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
