// SPDX-License-Identifier: Apache-2.0

// Package headroom checks whether there is enough memory for an operation of the agent. A
// profile of 60,000 goroutines with 125 frames each takes about 300 MB, which can push a
// service over its memory limit. Operations whose memory grows with the application check first:
//
//	if err := headroom.Check(headroom.Goroutines(n)); err != nil { ... } // skip, count, log
package headroom

import (
	"errors"
	"fmt"
	"math"

	"github.com/gmpulse/gmpulse/internal/host"
)

// ErrShort is wrapped by the errors of [Check].
var ErrShort = errors.New("memory is short")

// Check returns an error that wraps [ErrShort] unless the process may allocate the given
// number of bytes and at least a sixteenth of each limit remains. Without a limit it
// returns nil. It costs about 0.2 ms, to read the limits of the control group. For 4 MiB or
// less it compares with GOMEMLIMIT only and costs 2 µs.
func Check(bytes int64) error {
	u := read()
	if limit, used, ok := containerFor(bytes); ok {
		u.container, u.inContainer = limit, used
	}
	return u.check(bytes)
}

// containerFor returns the limit and the use of the control group. It skips reading them
// for small requests, such as the profile of a small service.
func containerFor(bytes int64) (limit, used float64, ok bool) {
	const little = 4 << 20
	if bytes <= little {
		return 0, 0, false
	}
	return host.ContainerMemory()
}

// use is the memory use of the process and its limits, in bytes.
type use struct {
	goLimit float64 // GOMEMLIMIT; +Inf without one
	mapped  float64 // counted against goLimit
	free    float64 // part of mapped: free spans, which the next allocations use
	garbage float64 // part of mapped: at least this much is freed by the next collection

	container, inContainer float64 // limit and working set of the control group; +Inf and 0 without one
}

// read returns the figures of the runtime.
func read() use {
	v := readMetrics(
		"/gc/gomemlimit:bytes",
		"/memory/classes/total:bytes",
		"/memory/classes/heap/released:bytes",
		"/memory/classes/heap/free:bytes",
		"/memory/classes/heap/objects:bytes",
		"/gc/heap/live:bytes",
	)
	u := use{goLimit: v[0], mapped: v[1] - v[2], free: v[3], garbage: max(0, v[4]-v[5]), container: math.Inf(1)}
	if u.goLimit >= math.MaxInt64 || u.goLimit == 0 { // no limit, or unknown
		u.goLimit = math.Inf(1)
	}
	return u
}

// check compares bytes with each limit. Garbage counts as available below GOMEMLIMIT,
// because reaching it starts a collection. It does not count below the limit of the
// container, which the collector does not know.
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
			return fmt.Errorf("%w: need %.0f MB, have %.0f MB below %s (%.0f MB), of which a sixteenth must stay free",
				ErrShort, float64(bytes)/1e6, max(0, l.room)/1e6, l.name, l.limit/1e6)
		}
	}
	return nil
}
