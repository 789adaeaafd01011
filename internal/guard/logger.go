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
	on, err := ask(h.lines, func() (bool, error) { return h.next.Enabled(ctx, level), nil })
	if err != nil {
		h.lines.lost.Add(1)
	}
	return err == nil && on
}

// Handle is that of the other handler.
func (h handler) Handle(ctx context.Context, r slog.Record) error {
	lost := h.lines.lost.Load()
	if lost > 0 {
		r = r.Clone()
		r.AddAttrs(slog.Uint64("lines_lost", lost))
	}
	_, err := ask(h.lines, func() (bool, error) { return true, h.next.Handle(ctx, r) })
	if err != nil {
		h.lines.lost.Add(1)
		if _, ok := errors.AsType[*PanicError](err); ok {
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
	next, err := ask(h.lines, func() (slog.Handler, error) { return f(), nil })
	if err != nil || next == nil {
		return h
	}
	return handler{next, h.lines}
}

// ask makes one call of a handler. It does not begin one while another is late.
func ask[T any](l *lines, f func() (T, error)) (T, error) {
	var none T
	if l.late.Load() > 0 {
		return none, errLogHangs
	}
	a := &answer[T]{}
	a.call = begin(func() (err error) {
		a.value, err = f()
		return err
	})
	a.await(logWait)
	select {
	case <-a.done:
		return a.value, a.err
	default:
	}
	l.late.Add(1)
	go func() { // it ends when the handler returns; nobody can end that
		<-a.done
		l.late.Add(-1)
	}()
	return none, errLogHangs
}
