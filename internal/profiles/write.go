// SPDX-License-Identifier: Apache-2.0

package profiles

import (
	"errors"
	"fmt"
	"io"
	"runtime/pprof"
)

// ErrProfiler is the error of [Write] if the runtime's profiler panicked: a library has corrupted the
// labels of a goroutine (timandy/routine#4).
var ErrProfiler = errors.New("the profiler panicked")

// Write writes a profile of the runtime in the format of go tool pprof. It does not use debug=2, which
// stops the world for 8 µs per goroutine.
func Write(name string, w io.Writer) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", ErrProfiler, r)
		}
	}()
	p := pprof.Lookup(name)
	if p == nil {
		return errors.New("the runtime has no such profile")
	}
	return p.WriteTo(w, 0)
}
