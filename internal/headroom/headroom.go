// SPDX-License-Identifier: Apache-2.0

// Package headroom tells whether there is memory for what the agent wants to do: a
// goroutine profile of 400,000 goroutines takes some 250 MB, and a service near its
// limit is killed for it. Whatever takes memory in proportion to the application's
// size asks first:
//
//	if err := headroom.Check(headroom.Goroutines(n)); err != nil { ... } // refuse, count, log
package headroom

import (
	"errors"
	"fmt"
	"math"
	"runtime/metrics"

	"github.com/gmpulse/gmpulse/runtimeinfo/host"
)

// ErrShort is what the error of [Check] wraps.
var ErrShort = errors.New("memory is short")

// perGoroutine is what a profile of one goroutine takes at most: 0.6 KB as the runtime
// keeps it, as much again while it is encoded or read.
const perGoroutine = 1280

// Goroutines returns how many bytes a profile of n goroutines may take.
func Goroutines(n int) int64 { return int64(n) * perGoroutine }

// Fits reports whether the process may use so many bytes more, and a sixteenth of the
// limit would be left. It is true where there is no limit. It costs some 0.2 ms, for
// reading the limits of the control group, or 2 µs for 4 MiB and less, which are held
// against GOMEMLIMIT only.
func Fits(bytes int64) bool { return Check(bytes) == nil }

// Check is [Fits] with the reason: an error that wraps [ErrShort] and has the figures.
func Check(bytes int64) error {
	u := read()
	if limit, used, ok := containerFor(bytes); ok {
		u.container, u.inContainer = limit, used
	}
	return u.check(bytes)
}

// containerFor reads the limit of the control group, unless so few bytes are asked for
// that reading it costs more than they matter: a survey of a small service.
func containerFor(bytes int64) (limit, used float64, ok bool) {
	const little = 4 << 20
	if bytes <= little {
		return 0, 0, false
	}
	return host.ContainerMemory()
}

// use is what the process uses, and may.
type use struct {
	goLimit float64 // GOMEMLIMIT; +Inf without one
	mapped  float64 // what counts against it
	free    float64 // of mapped: free spans, which the next allocations take
	garbage float64 // of mapped: what the next collection frees, at least

	container, inContainer float64 // limit and working set of the control group; +Inf and 0 without one
}

// read asks the runtime.
func read() use {
	samples := []metrics.Sample{
		{Name: "/gc/gomemlimit:bytes"},
		{Name: "/memory/classes/total:bytes"},
		{Name: "/memory/classes/heap/released:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/gc/heap/live:bytes"},
	}
	metrics.Read(samples)
	v := make([]float64, len(samples))
	for i, s := range samples {
		if s.Value.Kind() == metrics.KindUint64 {
			v[i] = float64(s.Value.Uint64())
		}
	}
	u := use{goLimit: v[0], mapped: v[1] - v[2], free: v[3], garbage: max(0, v[4]-v[5]), container: math.Inf(1)}
	if u.goLimit >= math.MaxInt64 || u.goLimit == 0 { // no limit; this runtime does not say
		u.goLimit = math.Inf(1)
	}
	return u
}

// check compares. The garbage counts as room below GOMEMLIMIT, which makes the
// collector run, and not below the limit of the container, of which the collector does
// not know.
func (u *use) check(bytes int64) error {
	const reserve = 16
	for _, l := range []struct {
		name        string
		limit, room float64
	}{
		{"GOMEMLIMIT", u.goLimit, u.goLimit - u.mapped + u.free + u.garbage},
		{"the container's limit", u.container, u.container - u.inContainer + u.free},
	} {
		if need := float64(bytes) + l.limit/reserve; !math.IsInf(l.limit, 1) && need > l.room {
			return fmt.Errorf("%w: %.0f MB are needed, %.0f MB of %s (%.0f MB) are left, and a sixteenth of it must stay",
				ErrShort, float64(bytes)/1e6, max(0, l.room)/1e6, l.name, l.limit/1e6)
		}
	}
	return nil
}
