// SPDX-License-Identifier: Apache-2.0

package exectrace

import (
	"context"
	"errors"
	"fmt"
	"io"

	"golang.org/x/exp/trace"
)

// readEvents hands the events of a trace to f, at most so many. The reader is
// foreign code that is fed foreign data: its panics become errors. It looks at
// ctx now and then.
func readEvents(ctx context.Context, in io.Reader, most int, f func(*trace.Event) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: the reader panicked: %v", ErrFormat, p)
		}
	}()
	r, err := trace.NewReader(in)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrFormat, err)
	}
	const interval = 4096 // events between two looks at ctx, some 0.6 ms
	var e trace.Event     // one for all: f's argument is on the heap
	for n := 0; ; n++ {
		if n > most {
			return fmt.Errorf("%w: more than %d events", ErrTooMany, most)
		}
		if n%interval == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		e, err = r.ReadEvent()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w: after %d events: %w", ErrFormat, n, err)
		}
		if err := f(&e); err != nil {
			return err
		}
	}
}

// known tells whether the reader knows the version that a trace begins with.
func known(in io.Reader) error {
	if _, err := trace.NewReader(in); err != nil {
		return fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return nil
}
