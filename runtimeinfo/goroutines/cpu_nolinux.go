//go:build !linux

package goroutines

import "time"

// threadCPU returns 0: the CPU time of a thread is not known.
func threadCPU() time.Duration { return 0 }
