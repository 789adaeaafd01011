// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/gmpulse/gmpulse/internal/guard"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// partWait is how long a tick waits for a part that the options gave.
const partWait = 100 * time.Millisecond

// parts are the questions that each tick asks of what the options gave. That is
// foreign code: a part that panics ends neither the process nor the loop and is left
// out from then on; one that does not return is left out until it does, and what it
// then returned goes into the next snapshot.
type parts struct {
	spans    guard.Poller[runtimeinfo.SpanActivity]
	findings guard.Poller[*runtimeinfo.Findings]
	captures guard.Poller[runtimeinfo.CaptureStats]
	mute     atomic.Bool // the store of evidence has panicked
}

// wait returns when no call of a part is under way.
func (p *parts) wait() {
	p.spans.Wait()
	p.findings.Wait()
	p.captures.Wait()
}

// guard calls a part, however long that takes. It is false when that panicked.
func (e *Engine) guard(part string, f func()) bool {
	return !e.panicked(part, guard.Do(func() error {
		f()
		return nil
	}))
}

// panicked reports whether a call of a part ended with a panic, and logs it.
func (e *Engine) panicked(part string, err error) bool {
	p := guard.Panicked(err)
	if p != nil {
		e.config.logger.Error("gmpulse: a part of the agent panicked and is left out from now on",
			slog.String("part", part), slog.Any("error", err), slog.String("stack", string(p.Stack)))
	}
	return p != nil
}

// spans asks the span source. Only the tick calls it, as the two that follow.
func (e *Engine) spans(now time.Time) *runtimeinfo.SpanActivity {
	source := e.config.spans
	if source == nil {
		return nil
	}
	activity, err := e.parts.spans.Poll(partWait, func() runtimeinfo.SpanActivity { return source.Observe(now) })
	if e.panicked("span source", err) {
		e.config.spans = nil
	}
	if err != nil {
		return nil
	}
	return &activity
}

// findings asks the detective.
func (e *Engine) findings() *runtimeinfo.Findings {
	detective := e.config.detective
	if detective == nil {
		return nil
	}
	f, err := e.parts.findings.Poll(partWait, detective.Findings)
	if e.panicked("detective", err) {
		e.config.detective = nil
	}
	return f
}

// judge asks the baselines. It waits for them: they look at a snapshot that is not
// complete, which nobody may go on with meanwhile. Stop does not wait for the tick
// longer than its deadline.
func (e *Engine) judge(s *runtimeinfo.Snapshot, f *runtimeinfo.Findings) (bands []runtimeinfo.Band, events []runtimeinfo.Event) {
	if !e.guard("baselines", func() { bands, events = e.config.baselines.Judge(s, f) }) {
		e.config.baselines = nil
		return nil, nil
	}
	return bands, events
}

// captures asks the store of evidence, nil if there is none or it does not say. Any
// goroutine may call it.
func (e *Engine) captures() *runtimeinfo.CaptureStats {
	store := e.evidence
	if store == nil || e.parts.mute.Load() {
		return nil
	}
	c, err := e.parts.captures.Poll(partWait, store.Captures)
	if e.panicked("store of evidence", err) {
		e.parts.mute.Store(true)
	}
	if err != nil {
		return nil
	}
	return &c
}
