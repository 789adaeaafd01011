// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"syscall"

	"github.com/gmpulse/gmpulse/internal/hostfield"
)

// source sets some values of a sample. A read that fails sets no doubtful value.
type source struct {
	name    string
	read    func(context.Context, *Sample) error
	foreign bool // calls gopsutil, which may panic
	failing bool // in the last pass
}

func (src *source) run(ctx context.Context, s *Sample) (err error) {
	if src.foreign {
		// gopsutil indexes into lines without checking their length: a truncated file
		// makes it panic.
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("panic: %v", p)
			}
		}()
	}
	return src.read(ctx, s)
}

// errMalformed means that a file has an unknown format.
var errMalformed = errors.New("not in the expected format")

// absence reports whether err means that the platform lacks a source or hides it from this
// process, that a thread, control group or directory has vanished, or that a signal interrupted
// the read.
func absence(err error) bool {
	for _, absent := range []error{
		fs.ErrNotExist, fs.ErrPermission, errors.ErrUnsupported, syscall.ESRCH, syscall.ENODEV, syscall.ENOTDIR, syscall.EINTR,
	} {
		if errors.Is(err, absent) {
			return true
		}
	}
	return err.Error() == "not implemented yet" // gopsutil's error value is in an internal package
}

// put sets f unless v is negative, infinite or NaN. NaN stands for an absent value throughout
// this package.
func put(s *Sample, f hostfield.Field, v float64) {
	if v >= 0 && !math.IsInf(v, 1) {
		s.Set(f, v)
	}
}

// least returns the smaller of a and b. Either may be absent.
func least(a, b float64) float64 {
	if math.IsNaN(a) || b < a {
		return b
	}
	return a
}

// everySixth limits expensive look-ups of values that seldom change to every sixth pass, once
// a minute by default. The first pass is due.
type everySixth struct{ calls int }

func (r *everySixth) due() bool {
	r.calls++
	return r.calls%6 == 1
}
