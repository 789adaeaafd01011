package guard

import (
	"context"
	"fmt"
	"log/slog"
)

// Logger returns a logger that writes as l does, and whose handler may panic: it is
// the application's, and called on goroutines of which a panic ends the process. The line
// is lost then, and the error that Handle returns says so.
func Logger(l *slog.Logger) *slog.Logger {
	if _, ok := l.Handler().(handler); ok {
		return l
	}
	return slog.New(handler{l.Handler()})
}

// handler recovers the panics of another one.
type handler struct{ next slog.Handler }

var _ slog.Handler = handler{}

// Enabled is that of the other handler, and false where that panics.
func (h handler) Enabled(ctx context.Context, level slog.Level) (on bool) {
	defer func() {
		if recover() != nil {
			on = false
		}
	}()
	return h.next.Enabled(ctx, level)
}

// Handle is that of the other handler.
func (h handler) Handle(ctx context.Context, r slog.Record) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the log handler panicked: %v", p)
		}
	}()
	return h.next.Handle(ctx, r)
}

// WithAttrs is that of the other handler; where that panics the attributes are lost.
func (h handler) WithAttrs(attrs []slog.Attr) (with slog.Handler) {
	return h.derive(func() slog.Handler { return h.next.WithAttrs(attrs) })
}

// WithGroup is that of the other handler; where that panics the group is lost.
func (h handler) WithGroup(name string) (with slog.Handler) {
	return h.derive(func() slog.Handler { return h.next.WithGroup(name) })
}

func (h handler) derive(f func() slog.Handler) (with slog.Handler) {
	defer func() {
		if recover() != nil {
			with = h
		}
	}()
	return handler{f()}
}
