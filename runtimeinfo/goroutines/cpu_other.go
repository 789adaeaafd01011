//go:build !unix

package goroutines

import "time"

// processCPU knows nothing: Windows counts in steps of 16 ms, more than a
// survey takes.
func processCPU() time.Duration { return 0 }
