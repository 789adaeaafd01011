// SPDX-License-Identifier: Apache-2.0

// Package cputime measures the CPU time of the process and of a thread, and limits what
// the agent spends on costly operations ([Budget]).
package cputime

import (
	"runtime"
	"time"
)

// Process returns the CPU time of the process, user and system, or 0 if the system does
// not report it. It costs one system call, about 1 µs.
func Process() time.Duration { return process() }

// Meter measures the CPU time of the current thread. [Start] creates one.
type Meter struct {
	start time.Time
	used  time.Duration
}

// Start locks the calling goroutine to its thread until [Meter.Stop] and begins to measure.
func Start() Meter {
	runtime.LockOSThread()
	return Meter{time.Now(), thread()}
}

// Elapsed returns the CPU time that the thread used since Start, or the wall time if the
// system does not report thread times.
func (m *Meter) Elapsed() time.Duration {
	if m.used == 0 {
		return time.Since(m.start)
	}
	return thread() - m.used
}

// Stop ends the measurement and returns [Meter.Elapsed]. The goroutine that called Start
// must call it.
func (m *Meter) Stop() time.Duration {
	d := m.Elapsed()
	runtime.UnlockOSThread()
	return d
}
