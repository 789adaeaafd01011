// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gmpulse/gmpulse/internal/guard"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// Analyzer adds values, spans and events to every snapshot.
type Analyzer interface {
	// Metrics returns the metrics that Analyze may add. [New] calls it once. The metrics
	// must not change afterwards.
	Metrics() []*runtimeinfo.Metric
	// Analyze adds to the snapshot of a tick. The engine calls it once per tick, from one
	// goroutine at a time, after the sampler, the gauges of the application and earlier
	// analyzers. d must not be used after Analyze has returned.
	//
	// The tick waits 100 ms for Analyze. If a call takes longer, the snapshot lacks its
	// values, its events are added to the next snapshot, and the engine does not call
	// Analyze again until it has returned. An analyzer that panics is not called again.
	Analyze(d *runtimeinfo.Draft)
}

const (
	// analyzeTimeout is how long a tick waits for each analyzer.
	analyzeTimeout = 100 * time.Millisecond
	// hangs is how long an analyzer must be late to be logged. In a process that gets no
	// CPU, calls are late again and again; a metric counts these.
	hangs = 3 * time.Second
)

// task is a function that adds to each snapshot: an analyzer or a gauge.
type task struct {
	name string
	call func(*runtimeinfo.Draft)

	busy     atomic.Bool // a call has not returned
	panicked atomic.Bool
	late     atomic.Pointer[runtimeinfo.Draft] // result of a call that returned after its tick

	timeouts, panics atomic.Uint64
	overdue          bool      // of a gauge: the last call was late; used only by tick
	lateSince        time.Time // of an analyzer: when the last call became late, zero if it was in time
	logged           bool      // of an analyzer: the log has that it hangs
}

// round calls tasks one after another on a goroutine.
type round struct {
	tasks   []*task
	failed  func(*task, error) // called when a task panicked
	builder *runtimeinfo.Builder
	calls   *sync.WaitGroup
	done    chan struct{}

	mu     sync.Mutex
	next   int // index of the current task
	closed bool
}

// startRound starts the goroutine of a round, which wg waits for.
func startRound(wg *sync.WaitGroup, tasks []*task, b *runtimeinfo.Builder, failed func(*task, error)) *round {
	r := &round{tasks: tasks, failed: failed, builder: b, calls: wg, done: make(chan struct{})}
	wg.Add(1)
	guard.Go(r.run, r.ended)
	return r
}

// run calls the tasks until the round ends or one of them panics.
func (r *round) run() error {
	for r.next < len(r.tasks) && r.call(r.tasks[r.next]) {
	}
	return nil
}

// ended ends the round, or continues it after the task that panicked.
func (r *round) ended(err error) {
	if err != nil {
		t := r.tasks[r.next]
		t.busy.Store(false)
		t.panics.Add(1)
		r.failed(t, err)
		if r.end(nil) && r.next < len(r.tasks) {
			guard.Go(r.run, r.ended)
			return
		}
	}
	close(r.done)
	r.calls.Done()
}

// call calls one task and reports whether the round continues.
func (r *round) call(t *task) bool {
	if !t.busy.CompareAndSwap(false, true) {
		return r.end(nil) // a call of an earlier tick has not returned
	}
	d := r.builder.Draft()
	t.call(d)
	if !r.end(d) {
		t.late.Store(d)
		t.busy.Store(false)
		return false
	}
	t.busy.Store(false)
	return true
}

// end merges the draft of the current task and moves on to the next task. It reports false if
// the tick no longer waits for the round.
func (r *round) end(d *runtimeinfo.Draft) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return false
	}
	if d != nil {
		if late := r.tasks[r.next].late.Swap(nil); late != nil {
			d.Events = append(late.Events, d.Events...)
		}
		r.builder.Merge(d)
	}
	r.next++
	return true
}

// wait waits until all tasks have returned or the timeout has passed. After a timeout it returns
// the index of the task that is late and a copy of the builder, because the goroutine of the
// round may still use the original.
func (r *round) wait(timeout time.Duration) (late int, b *runtimeinfo.Builder, ok bool) {
	t := time.NewTimer(timeout)
	defer t.Stop()
	select {
	case <-r.done:
		return 0, r.builder, true
	case <-t.C:
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.next >= len(r.tasks) {
		return 0, r.builder, true
	}
	r.closed = true
	return r.next, r.builder.Fork(), false
}

// analyze calls the analyzers of a tick.
func (e *Engine) analyze(b *runtimeinfo.Builder) *runtimeinfo.Builder {
	rest := make([]*task, 0, len(e.analyzers))
	for _, t := range e.analyzers {
		switch {
		case t.panicked.Load():
		case t.busy.Load(): // a call of an earlier tick has not returned
			e.logHang(t)
		default:
			rest = append(rest, t)
		}
	}
	for len(rest) > 0 {
		r := startRound(&e.calls, rest, b, e.analyzerPanicked)
		late, next, ok := r.wait(analyzeTimeout)
		b = next
		inTime := rest
		if !ok {
			inTime = rest[:late]
		}
		for _, t := range inTime {
			t.lateSince = time.Time{}
			if t.logged {
				t.logged = false
				e.config.logger.Info("gmpulse: analyzer works again", slog.String("analyzer", t.name))
			}
		}
		if ok {
			break
		}
		rest[late].timeouts.Add(1)
		rest[late].lateSince = time.Now()
		rest = rest[late+1:]
	}
	return b
}

// logHang logs once that an analyzer hangs.
func (e *Engine) logHang(t *task) {
	if t.logged || t.lateSince.IsZero() || time.Since(t.lateSince) < hangs {
		return
	}
	t.logged = true
	e.config.logger.Warn("gmpulse: analyzer does not return; snapshots lack its values",
		slog.String("analyzer", t.name), slog.Time("since", t.lateSince))
}

// analyzerPanicked disables an analyzer.
func (e *Engine) analyzerPanicked(t *task, err error) {
	t.panicked.Store(true)
	e.logPanic(t.name, err)
}

// background calls a function of WithBackground and recovers its panics.
func (e *Engine) background(ctx context.Context, w work) {
	err := guard.Do(func() error {
		w.run(ctx)
		return nil
	})
	if guard.Panicked(err) != nil {
		e.logPanic(w.name, err)
	}
}

func (e *Engine) logPanic(part string, err error) {
	e.config.logger.Error("gmpulse: a part of the agent panicked and is not called again",
		slog.String("part", part), slog.Any("error", err), slog.String("stack", string(guard.Panicked(err).Stack)))
}
