// SPDX-License-Identifier: Apache-2.0

// Package cputime reads the CPU time that the process and a thread have used, for
// parts of the agent that account for their own cost.
package cputime

import (
	"runtime"
	"time"
)

// Process returns the CPU time of the process, user and system; 0 where the system
// does not tell. One system call, about 1 µs.
func Process() time.Duration { return process() }

// Meter measures the CPU time of the thread that the calling goroutine runs on. Start it
// with [Start]; the goroutine is locked to its thread until Stop.
type Meter struct {
	began time.Time
	used  time.Duration
}

// Start begins to measure.
func Start() Meter {
	runtime.LockOSThread()
	return Meter{time.Now(), thread()}
}

// Elapsed returns the CPU time that the thread has used since Start; where the system
// does not tell, the time that has passed.
func (m *Meter) Elapsed() time.Duration {
	if m.used == 0 {
		return time.Since(m.began)
	}
	return thread() - m.used
}

// Stop ends the measurement and returns what Elapsed does. It must be called on the
// goroutine that called Start.
func (m *Meter) Stop() time.Duration {
	d := m.Elapsed()
	runtime.UnlockOSThread()
	return d
}
