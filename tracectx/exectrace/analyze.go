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
	maxGoroutines = 200_000
	maxOpenSpans  = 50_000
	// No recording is longer; a damaged one may say that it is.
	maxLength = 365 * 24 * time.Hour
)

// Analyze reads an execution trace once and says where the time went. It calls
// each, which may be nil, with the breakdown of every span when it has ended, and of
// those that have not at the end; it may keep it. A span is a runtime/trace task: the
// OpenTelemetry SDK makes one of each span that it records while somebody
// traces. At most so many events are read.
//
// It takes some 0.2 µs for each event, and memory for the events of about a
// second at a time, the goroutines and the spans that are open. The error is
// [ErrFormat], [ErrTooMany] or that of ctx.
func Analyze(ctx context.Context, in io.Reader, mostEvents int, each func(*Breakdown)) (*Window, error) {
	a := newAnalyzer(each)
	if err := readEvents(ctx, in, mostEvents, a.event); err != nil {
		return nil, err
	}
	return a.finish(), nil
}

// analyzer is the state of one pass.
type analyzer struct {
	each   func(*Breakdown)
	places places

	goroutines map[trace.GoID]*goroutine
	spans      map[trace.TaskID]*span // open
	processors map[trace.ProcID]*processor
	queue      queue
	latency    Latency
	roots      roots
	window     Window

	first, now trace.Time
	clock      *trace.ClockSnapshot
	stw, mark  stretch
}

// processor is a P: since when it runs a goroutine, and for how long it did before.
type processor struct {
	since trace.Time // 0: none
	busy  time.Duration
}

// stretch adds up something that begins and ends in turn.
type stretch struct {
	since trace.Time // 0: not now
	total time.Duration
}

func (s *stretch) begin(now trace.Time) {
	if s.since == 0 {
		s.since = now
	}
}

func (s *stretch) end(now trace.Time) {
	s.total = s.at(now)
	s.since = 0
}

// at returns how long it has been in all.
func (s *stretch) at(now trace.Time) time.Duration {
	if s.since == 0 {
		return s.total
	}
	return s.total + now.Sub(s.since)
}

func newAnalyzer(each func(*Breakdown)) *analyzer {
	if each == nil {
		each = func(*Breakdown) {}
	}
	return &analyzer{
		each:       each,
		places:     newPlaces(),
		goroutines: map[trace.GoID]*goroutine{},
		spans:      map[trace.TaskID]*span{},
		processors: map[trace.ProcID]*processor{},
		queue:      newQueue(),
		roots:      roots{},
	}
}

func (a *analyzer) event(e *trace.Event) error {
	a.now = e.Time()
	if a.first == 0 {
		a.first = a.now
		a.queue.begin(a.now)
	}
	if length := a.now.Sub(a.first); length < 0 || length > maxLength {
		return fmt.Errorf("%w: an event is %v after the first", ErrFormat, length)
	}
	a.window.Events++
	switch e.Kind() {
	case trace.EventSync:
		if s := e.Sync(); a.clock == nil {
			a.clock = s.ClockSnapshot
		}
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
	if len(a.goroutines) > maxGoroutines || len(a.spans) > maxOpenSpans {
		return fmt.Errorf("%w: %d goroutines, %d open spans", ErrTooMany, len(a.goroutines), len(a.spans))
	}
	return nil
}

// rangeEvent is a begin or an end of what the runtime does for a while.
func (a *analyzer) rangeEvent(e *trace.Event) {
	r := e.Range()
	var s *stretch
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

// wall returns the wall-clock time of a moment, zero if it is not known.
func (a *analyzer) wall(t trace.Time) time.Time {
	if a.clock == nil {
		return time.Time{}
	}
	return a.clock.Wall.Add(t.Sub(a.clock.Trace))
}

// finish gives up what is open and returns the whole.
func (a *analyzer) finish() *Window {
	w := &a.window
	w.Open = len(a.spans)
	youngest := func(s, t *span) int { return cmp.Compare(t.begin, s.begin) }
	for _, s := range slices.SortedFunc(maps.Values(a.spans), youngest) { // children first: they count for their parents
		s.Open = true
		a.close(s)
	}
	w.Start, w.Duration = a.wall(a.first), a.now.Sub(a.first)
	for id, p := range a.processors {
		if p.since != 0 {
			p.busy += a.now.Sub(p.since)
		}
		w.Processors = append(w.Processors, Processor{ID: int(id), Busy: p.busy})
	}
	slices.SortFunc(w.Processors, func(p, q Processor) int { return cmp.Compare(p.ID, q.ID) })
	if a.first != 0 {
		a.queue.advance(a.now)
	}
	w.RunQueue, w.Latency, w.Roots = a.queue.result(), a.latency, a.roots.result()
	w.STW, w.Mark = a.stw.at(a.now), a.mark.at(a.now)
	return w
}
