package goroutines

import "time"

// threadCPU returns the CPU time of the calling thread, user and system; 0 where the
// system does not tell. The caller has locked its goroutine to the thread. One system
// call, about 1 µs.
func threadCPU() time.Duration {
	const rusageThread = 1 // RUSAGE_THREAD, which package syscall does not name
	return cpuOf(rusageThread)
}
