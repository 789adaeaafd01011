// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
)

// source fills some fields of a sample. A read that fails must not have set
// any field that it is not sure of.
type source struct {
	name    string
	read    func(context.Context, *Sample) error
	foreign bool // calls code that is not ours, whose panics stop here
	failing bool // how the last pass ended
}

func (src *source) run(ctx context.Context, s *Sample) (err error) {
	if src.foreign {
		// gopsutil indexes into lines without looking at their length, so a
		// file cut short panics there.
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("panic: %v", p)
			}
		}()
	}
	return src.read(ctx, s)
}

// errMalformed is for a file that is there but does not look as documented.
var errMalformed = errors.New("not in the expected format")

// absence reports whether err only says that the platform has no such source or
// does not show it to this process.
func absence(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) ||
		errors.Is(err, errors.ErrUnsupported) ||
		// gopsutil's own value for this lies in an internal package.
		err.Error() == "not implemented yet"
}

// put sets f if v is something that a host can truthfully report. Absence
// travels through this package as NaN, as it does in a Sample.
func put(s *Sample, f Field, v float64) {
	if v >= 0 && !math.IsInf(v, 1) {
		s.Set(f, v)
	}
}

// least returns the smaller of a and b, of which one may be absent.
func least(a, b float64) float64 {
	if math.IsNaN(a) || b < a {
		return b
	}
	return a
}

// rarely is for what changes seldom and costs as much to look up as the rest of
// a pass. The zero value is due at once, then every sixth time: once a minute at
// the usual ten seconds.
type rarely struct{ calls int }

func (r *rarely) due() bool {
	r.calls++
	return r.calls%6 == 1
}
