// SPDX-License-Identifier: Apache-2.0

package profiles

import (
	"errors"
	"fmt"
	"io"
	"runtime/pprof"

	"github.com/gmpulse/gmpulse/internal/headroom"
)

// ErrProfiler is the error of [Write] if the runtime's profiler panicked: a library has corrupted the
// labels of a goroutine (timandy/routine#4).
var ErrProfiler = errors.New("the profiler panicked")

// Write writes a profile of the runtime in the format of go tool pprof or, if asText, as text. It does
// not use debug=2, which stops the world for 8 µs per goroutine. It does not check whether there is
// memory: see [headroom.Goroutines] and [headroom.Text].
func Write(w io.Writer, name string, asText bool) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", ErrProfiler, r)
		}
	}()
	p := pprof.Lookup(name)
	if p == nil {
		return fmt.Errorf("the runtime has no profile called %q", name)
	}
	if asText {
		return p.WriteTo(w, 1)
	}
	if name == "goroutine" {
		return headroom.Observe(func() error { return p.WriteTo(w, 0) })
	}
	return p.WriteTo(w, 0)
}
