// SPDX-License-Identifier: Apache-2.0

package guard_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/gmpulse/gmpulse/internal/guard"
)

// broken is a log handler that panics if the context has no request ID.
type broken struct{}

type requestID struct{}

func (broken) Enabled(ctx context.Context, _ slog.Level) bool {
	return ctx.Value(requestID{}).(string) != ""
}

func (broken) Handle(ctx context.Context, _ slog.Record) error {
	return errors.New(ctx.Value(requestID{}).(string))
}
func (broken) WithAttrs([]slog.Attr) slog.Handler { panic("oh") }
func (broken) WithGroup(string) slog.Handler      { panic("oh") }

func TestLogHandlerThatPanics(t *testing.T) {
	l := guard.Logger(slog.New(broken{}))
	l.With(slog.Int("a", 1)).WithGroup("g").Error("returns")
	if l.Enabled(t.Context(), slog.LevelError) {
		t.Error("Enabled = true")
	}
	if err := l.Handler().Handle(t.Context(), slog.Record{}); err == nil || !strings.Contains(err.Error(), "panicked") {
		t.Errorf("Handle: %v", err)
	}
}

func TestLoggerPassesLinesOn(t *testing.T) {
	var b strings.Builder
	l := guard.Logger(slog.New(slog.NewTextHandler(&b, nil)))
	if guard.Logger(l) != l {
		t.Error("Logger wrapped its own logger")
	}
	l.With(slog.Int("a", 1)).WithGroup("g").Info("hello", slog.Int("b", 2))
	l.Debug("not enabled")
	if got := b.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "msg=hello a=1 g.b=2") {
		t.Error(got)
	}
}
