package engine

import (
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// What is asked of the parts that the options gave. They are foreign code: one that
// panics ends neither the process nor the loop, and is left out from then on.

// ask calls a part. It is false when that panicked.
func (e *Engine) ask(part string, f func()) (ok bool) {
	defer func() {
		if p := recover(); p != nil {
			e.config.logger.Error("gmpulse: a part of the agent panicked and is left out from now on",
				slog.String("part", part), slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
			ok = false
		}
	}()
	f()
	return true
}

// spans asks the span source. Only the tick calls it, as all that follows.
func (e *Engine) spans(now time.Time) (activity *runtimeinfo.SpanActivity) {
	if e.config.spans == nil {
		return nil
	}
	if !e.ask("span source", func() {
		a := e.config.spans.Observe(now)
		activity = &a
	}) {
		e.config.spans = nil
	}
	return activity
}

// findings asks the detective.
func (e *Engine) findings() (f *runtimeinfo.Findings) {
	if e.config.detective == nil {
		return nil
	}
	if !e.ask("detective", func() { f = e.config.detective.Findings() }) {
		e.config.detective = nil
	}
	return f
}

// judge asks the baselines.
func (e *Engine) judge(s *runtimeinfo.Snapshot, f *runtimeinfo.Findings) (bands []runtimeinfo.Band, events []runtimeinfo.Event) {
	if !e.ask("baselines", func() { bands, events = e.config.baselines.Judge(s, f) }) {
		e.config.baselines = nil
	}
	return bands, events
}
