// SPDX-License-Identifier: Apache-2.0

//go:build unix

package runtimeinfo

import (
	"math"
	"syscall"
	"time"
)

// processCPU is the CPU time that the process has used, in seconds. The host pass
// reads it too, but is ten times rarer than the tick. About 0.4 µs.
func processCPU() float64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return math.NaN()
	}
	return (time.Duration(u.Utime.Nano()) + time.Duration(u.Stime.Nano())).Seconds()
}
