// SPDX-License-Identifier: Apache-2.0

package exectrace

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/exp/trace"
)

// readEvents calls f for each event of a trace. It returns ErrTooMany if there are more
// than limit, and the cause of ctx if ctx is done.
func readEvents(ctx context.Context, in io.Reader, limit int, f func(*trace.Event) error) (err error) {
	defer recoverReader(&err)
	r, err := trace.NewReader(in)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrFormat, err)
	}
	const interval = 4096 // events between two checks of ctx, about 0.6 ms
	var e trace.Event     // escapes to the heap, so one for all
	for n := 0; ; n++ {
		if n > limit {
			return fmt.Errorf("%w: more than %d events", ErrTooMany, limit)
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

// recoverReader turns a panic of golang.org/x/exp/trace, which damaged traces can
// cause, into an error. It is to be deferred.
func recoverReader(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("%w: the reader panicked: %v", ErrFormat, p)
	}
}

// checkFormat returns ErrFormat if the reader does not support the version of a trace.
func checkFormat(in io.Reader) error {
	if _, err := trace.NewReader(in); err != nil {
		return fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return nil
}

// maxLength is more than any recording lasts. A damaged one may pretend to.
const maxLength = 365 * 24 * time.Hour

// A timeline keeps the times of the events of a trace.
type timeline struct {
	events     int
	first, now trace.Time
	clock      *trace.ClockSnapshot
}

// advance moves to the time of the next event.
func (t *timeline) advance(e *trace.Event) error {
	t.now = e.Time()
	if t.events == 0 {
		t.first = t.now
	}
	t.events++
	if length := t.duration(); length < 0 || length > maxLength {
		return fmt.Errorf("%w: an event is %v after the first", ErrFormat, length)
	}
	if e.Kind() == trace.EventSync && t.clock == nil {
		t.clock = e.Sync().ClockSnapshot
	}
	return nil
}

func (t *timeline) duration() time.Duration { return t.now.Sub(t.first) }

// wall returns a wall clock time, or zero if the trace has no clock (before Go 1.25).
func (t *timeline) wall(x trace.Time) time.Time {
	if t.clock == nil {
		return time.Time{}
	}
	return t.clock.Wall.Add(x.Sub(t.clock.Trace))
}
