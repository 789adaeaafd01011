// SPDX-License-Identifier: Apache-2.0

package exectrace

import (
	"errors"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines"
)

// An estimate predicts the size of a recording from the one before, and limits the
// length of the recording accordingly.
type estimate struct {
	eventRate, byteRate float64 // per second, of the last recording; 0: unknown
	overruns            int     // recordings in a row that exceeded a limit
}

const (
	// Recording costs the application about 80 ns for each event of about 6 bytes
	// (benchmarks/exectrace).
	bytesPerEvent = 6
	costPerEvent  = 80 * time.Nanosecond
	// costPerListed is the cost to list a goroutine with its stack. The tracer lists
	// the goroutines that did not run, once a second.
	costPerListed = time.Microsecond

	manyGoroutines = 20_000
	highEventRate  = 200_000 // per second
)

// length returns how long to record in a process with n goroutines.
func (e *estimate) length(requested time.Duration, n int, c *Config) time.Duration {
	length := requested
	if n > manyGoroutines {
		length = min(length, time.Second)
	}
	length = shorten(length, e.eventRate, highEventRate*requested.Seconds())
	length = shorten(length, e.eventRate, 0.75*float64(c.MaxEvents))
	length = shorten(length, e.byteRate, 0.75*float64(c.MaxBytes))
	length >>= min(e.overruns, 10)
	return max(length, min(requested, probe))
}

// shorten reduces a length so that rate times length does not exceed the limit.
func shorten(length time.Duration, rate, limit float64) time.Duration {
	if rate*length.Seconds() <= limit {
		return length
	}
	return time.Duration(limit / rate * float64(time.Second))
}

// bytes returns the expected size of a recording.
func (e *estimate) bytes(length time.Duration, n int, c *Config) int {
	const (
		fixed        = 256 << 10 // tables of functions and stacks, buffers of each processor
		perGoroutine = 10        // in each generation
		generations  = 3         // the first, the last and an incomplete one; the others last a second
	)
	listing := float64(n) * perGoroutine * (length.Seconds() + generations)
	return int(min(float64(c.MaxBytes), max(e.byteRate*length.Seconds(), fixed+listing)))
}

// update notes the outcome of a recording.
func (e *estimate) update(r *goroutines.Recording, err error) {
	switch {
	case errors.Is(err, ErrTooMany):
		e.overruns++
	case err == nil:
		seconds := max(probe, r.Duration).Seconds()
		*e = estimate{eventRate: float64(r.Events) / seconds, byteRate: float64(r.Bytes) / seconds}
	}
}
