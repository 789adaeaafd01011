//go:build !linux

package exectrace

import "time"

// threadCPU returns 0: the CPU time of a thread is not known here.
func threadCPU() time.Duration { return 0 }
