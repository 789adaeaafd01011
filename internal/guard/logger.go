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

// logWait is how long the agent waits for one call of a log handler.
const logWait = 100 * time.Millisecond

var errLogHangs = errors.New("the log handler hangs: the line is lost")

// Logger returns a logger that writes as l does, and whose handler may panic, hang or
// call runtime.Goexit: it is the application's. A call of it may take 100 ms; then it
// goes on without the caller, and until it returns all further lines are dropped. The
// next line that is written says how many were, as lines_lost. The error that Handle
// returns says so too.
func Logger(l *slog.Logger) *slog.Logger {
	if _, ok := l.Handler().(handler); ok {
		return l
	}
	return slog.New(handler{l.Handler(), &lines{}})
}

// handler protects the agent from another one.
type handler struct {
	next  slog.Handler
	lines *lines
}

var _ slog.Handler = handler{}

// lines is what the handlers that come of one share.
type lines struct {
	late atomic.Int64  // calls that have not returned in time
	lost atomic.Uint64 // lines, since the last one that was written
}

// Enabled is that of the other handler, and false where that panics or hangs.
func (h handler) Enabled(ctx context.Context, level slog.Level) bool {
	on := new(bool)
	err := h.lines.call(func() error {
		*on = h.next.Enabled(ctx, level)
		return nil
	})
	if err != nil { // and on is still written to, perhaps
		h.lines.lost.Add(1)
		return false
	}
	return *on
}

// Handle is that of the other handler.
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

// WithAttrs is that of the other handler; where that panics or hangs the attributes are lost.
func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return h.derive(func() slog.Handler { return h.next.WithAttrs(attrs) })
}

// WithGroup is that of the other handler; where that panics or hangs the group is lost.
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

// call makes one call of a handler. It does not begin one while another is late.
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
	go func() { // it ends when the handler returns; nobody can end that
		<-c.done
		l.late.Add(-1)
	}()
	return errLogHangs
}
