// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"
)

// logWait bounds one call of a log handler.
const logWait = 100 * time.Millisecond

var errLogHangs = errors.New("the log handler hangs; the line is dropped")

// Logger returns a logger that writes to the handler of l, which may panic, hang or call
// runtime.Goexit. It waits at most 100 ms for a call of the handler. Until a late call
// returns, it drops all further lines. The next line that is written has their number in
// the attribute lines_lost.
func Logger(l *slog.Logger) *slog.Logger {
	if _, ok := l.Handler().(handler); ok {
		return l
	}
	return slog.New(handler{l.Handler(), &lines{}})
}

// handler calls another handler with the limits of [Logger].
type handler struct {
	next  slog.Handler
	lines *lines
}

var _ slog.Handler = handler{}

// lines is shared by a handler and those derived from it.
type lines struct {
	late atomic.Int64  // running calls that exceeded logWait
	lost atomic.Uint64 // lines dropped since the last one that was written
}

// Enabled returns the result of the other handler, or false if it panics or hangs.
func (h handler) Enabled(ctx context.Context, level slog.Level) bool {
	on := new(bool)
	err := h.lines.call(func() error {
		*on = h.next.Enabled(ctx, level)
		return nil
	})
	if err != nil { // the call may still write to on
		h.lines.lost.Add(1)
		return false
	}
	return *on
}

// Handle calls the other handler. It returns an error if that panics or hangs.
func (h handler) Handle(ctx context.Context, r slog.Record) error {
	lost := h.lines.lost.Load()
	if lost > 0 {
		r = r.Clone()
		r.AddAttrs(slog.Uint64("lines_lost", lost))
	}
	if err := h.lines.call(func() error { return h.next.Handle(ctx, r) }); err != nil {
		h.lines.lost.Add(1)
		if Panicked(err) != nil {
			return fmt.Errorf("the log handler panicked: %w", err)
		}
		return err
	}
	h.lines.lost.Add(-lost)
	return nil
}

// WithAttrs calls the other handler. If that panics or hangs, the attributes are dropped.
func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return h.derive(func() slog.Handler { return h.next.WithAttrs(attrs) })
}

// WithGroup calls the other handler. If that panics or hangs, the group is dropped.
func (h handler) WithGroup(name string) slog.Handler {
	return h.derive(func() slog.Handler { return h.next.WithGroup(name) })
}

func (h handler) derive(f func() slog.Handler) slog.Handler {
	next := new(slog.Handler)
	err := h.lines.call(func() error {
		*next = f()
		return nil
	})
	if err != nil || *next == nil {
		return h
	}
	return handler{*next, h.lines}
}

// call makes one call of a handler, unless another call is late.
func (l *lines) call(f func() error) error {
	if l.late.Load() > 0 {
		return errLogHangs
	}
	c := begin(f)
	c.await(logWait)
	select {
	case <-c.done:
		return c.err
	default:
	}
	l.late.Add(1)
	go func() { // ends when the handler returns
		<-c.done
		l.late.Add(-1)
	}()
	return errLogHangs
}
