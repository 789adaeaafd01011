// SPDX-License-Identifier: Apache-2.0

package exectrace

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/exp/trace"
)

const (
	maxAnalyzedGoroutines = 200_000
	maxOpenSpans          = 50_000
)

// Analyze reads an execution trace and breaks down the duration of the spans in it. A
// span is a runtime/trace task: the OpenTelemetry SDK creates one for each recorded
// span while an execution trace is running. Analyze calls f, which may be nil, with the
// breakdown of each span when the span ends. Spans that are open at the end of the
// trace follow then. f may keep the breakdown. Analyze reads at most maxEvents events.
//
// Analyze takes about 0.2 µs per event, and memory for the events of about a second, the
// goroutines and the open spans. The error is [ErrFormat], [ErrTooMany] or the cause of
// ctx.
func Analyze(ctx context.Context, in io.Reader, maxEvents int, f func(*Breakdown)) (*Window, error) {
	a := newAnalyzer(f)
	if err := readEvents(ctx, in, maxEvents, a.event); err != nil {
		return nil, err
	}
	return a.finish(), nil
}

// analyzer is the state of Analyze.
type analyzer struct {
	timeline

	each   func(*Breakdown)
	stacks *stackTable

	goroutines map[trace.GoID]*goroutine
	spans      map[trace.TaskID]*span        // open
	processors map[trace.ProcID]*accumulator // time with a running goroutine
	queue      queue
	latency    latency
	roots      roots
	window     Window
	stw, mark  accumulator
}

// An accumulator adds up the lengths of periods.
type accumulator struct {
	since trace.Time // begin of the current period; 0: none
	total time.Duration
}

func (s *accumulator) begin(now trace.Time) {
	if s.since == 0 {
		s.since = now
	}
}

func (s *accumulator) end(now trace.Time) { s.total, s.since = s.at(now), 0 }

// at returns the sum until now.
func (s *accumulator) at(now trace.Time) time.Duration {
	if s.since == 0 {
		return s.total
	}
	return s.total + now.Sub(s.since)
}

func newAnalyzer(f func(*Breakdown)) *analyzer {
	if f == nil {
		f = func(*Breakdown) {}
	}
	return &analyzer{
		each:       f,
		stacks:     newStackTable(),
		goroutines: map[trace.GoID]*goroutine{},
		spans:      map[trace.TaskID]*span{},
		processors: map[trace.ProcID]*accumulator{},
		roots:      roots{},
	}
}

func (a *analyzer) event(e *trace.Event) error {
	if err := a.advance(e); err != nil {
		return err
	}
	if a.events == 1 {
		a.queue.begin(a.now)
	}
	switch e.Kind() {
	case trace.EventSync:
		a.stacks.endGeneration()
	case trace.EventStateTransition:
		a.transition(e)
	case trace.EventLog:
		a.log(e)
	case trace.EventTaskBegin:
		a.beginSpan(e)
	case trace.EventTaskEnd:
		a.endSpan(e)
	case trace.EventRangeBegin, trace.EventRangeActive, trace.EventRangeEnd:
		a.rangeEvent(e)
	default: // samples, metrics, regions
	}
	if len(a.goroutines) > maxAnalyzedGoroutines || len(a.spans) > maxOpenSpans {
		return fmt.Errorf("%w: %d goroutines, %d open spans", ErrTooMany, len(a.goroutines), len(a.spans))
	}
	return nil
}

// rangeEvent handles the begin or end of an activity of the runtime.
func (a *analyzer) rangeEvent(e *trace.Event) {
	r := e.Range()
	var s *accumulator
	switch {
	case strings.HasPrefix(r.Name, "stop-the-world"):
		s = &a.stw
	case r.Name == "GC concurrent mark phase":
		s = &a.mark
	case r.Name == "GC mark assist" && r.Scope.Kind == trace.ResourceGoroutine:
		s = &a.goroutine(r.Scope.Goroutine()).assist
	default:
		return
	}
	if e.Kind() == trace.EventRangeEnd {
		s.end(a.now)
		return
	}
	s.begin(a.now)
}

// finish closes the open spans and returns the result.
func (a *analyzer) finish() *Window {
	w := &a.window
	w.Open = len(a.spans)
	youngest := func(s, t *span) int { return cmp.Compare(t.begin, s.begin) }
	for _, s := range slices.SortedFunc(maps.Values(a.spans), youngest) { // children first: they count for their parents
		s.Open = true
		a.close(s)
	}
	w.Start, w.Duration, w.Events = a.wall(a.first), a.duration(), a.events
	w.Busy = map[int]time.Duration{}
	for id, p := range a.processors {
		w.Busy[int(id)] = p.at(a.now)
	}
	if a.events > 0 {
		a.queue.advance(a.now)
	}
	w.QueueMean, w.QueueMax = a.queue.mean(), a.queue.max
	w.Waits, w.WaitP50, w.WaitP99 = a.latency.count(), a.latency.quantile(0.5), a.latency.quantile(0.99)
	w.Roots = a.roots.sorted()
	w.STW, w.Mark = a.stw.at(a.now), a.mark.at(a.now)
	return w
}
