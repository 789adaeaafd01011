//go:build !linux

package page_test

import "time"

var began = time.Now()

// threadTime is the time that has passed, where no thread's can be read.
func threadTime() time.Duration { return time.Since(began) }
