// SPDX-License-Identifier: Apache-2.0

package cputime

import (
	"syscall"
	"time"
	"unsafe"
)

// thread returns the CPU time of the calling thread, or 0 if it cannot be read. This
// clock counts nanoseconds; getrusage may be off by a scheduler tick.
func thread() time.Duration {
	const threadClock = 3 // CLOCK_THREAD_CPUTIME_ID
	var ts syscall.Timespec
	if _, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, threadClock, uintptr(unsafe.Pointer(&ts)), 0); errno != 0 {
		return 0
	}
	return time.Duration(ts.Nano())
}
