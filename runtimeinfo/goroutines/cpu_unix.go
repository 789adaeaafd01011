//go:build unix

package goroutines

import (
	"syscall"
	"time"
)

// processCPU returns the CPU time of the process, user and system; 0 where the
// system does not tell. One system call, about 1 µs.
func processCPU() time.Duration { return cpuOf(syscall.RUSAGE_SELF) }

func cpuOf(who int) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(who, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
