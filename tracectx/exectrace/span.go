// SPDX-License-Identifier: Apache-2.0

package exectrace

import (
	"encoding/binary"
	"time"

	"golang.org/x/exp/trace"

	"github.com/gmpulse/gmpulse/tracectx"
)

// maxNested bounds what an event costs beneath spans in spans: a trace with 16,000 of
// them must not take 16,000 steps for each event. A span that lies deeper counts for
// the one at this depth above it, and for those above that, but for none in between;
// and of the spans of one goroutine so many, the outermost, are told who woke it.
const maxNested = 64

// span is an open one.
type span struct {
	Breakdown

	parent *span // that it counts for, see up; at most maxNested steps to the top
	depth  int   // steps
	closed bool
	// outer and inner are its neighbours among the open spans of its goroutine.
	outer, inner *span
	g            *goroutine
	// foreign tells that its goroutine does not count for parent anyway.
	foreign bool
	members []*goroutine // created under it and not under a span below it

	begin             trace.Time
	before            Parts // what its goroutine had done
	stw, mark, assist time.Duration
}

// rootLog is the log entry of a local root span that is about to begin.
type rootLog struct {
	trace [16]byte
	span  [8]byte
	name  string // cut
}

// datadogSpan is the category in which dd-trace-go logs span ids.
const datadogSpan = "datadog.uint64_span_id"

func (a *analyzer) log(e *trace.Event) {
	l := e.Log()
	switch l.Category {
	case tracectx.TraceLogCategory:
		if r, ok := parseRootLog(l.Message); ok {
			a.goroutine(e.Goroutine()).next = r
		}
	case datadogSpan:
		if s := a.spans[l.Task]; s != nil && len(l.Message) == len(s.SpanID) {
			binary.BigEndian.PutUint64(s.SpanID[:], binary.LittleEndian.Uint64([]byte(l.Message)))
		}
	}
}

func parseRootLog(message string) (*rootLog, bool) {
	r := new(rootLog)
	n := copy(r.trace[:], message)
	m := copy(r.span[:], message[n:])
	r.name = message[n+m:]
	return r, m == len(r.span)
}

// names tells whether a task is the one that the entry announced. Another span
// processor may begin spans of its own in between.
func (r *rootLog) names(task *trace.Task) bool {
	return r != nil && len(task.Type) >= len(r.name) && task.Type[:len(r.name)] == r.name
}

func (a *analyzer) beginSpan(e *trace.Event) {
	task := e.Task()
	if a.spans[task.ID] != nil {
		return // ids are not used again; a damaged trace might
	}
	g := a.goroutine(e.Goroutine())
	if g.state == trace.GoUndetermined { // whoever begins a task runs
		g.state, g.cause, g.since = trace.GoRunning, Running, a.now
	}
	g.settle(a.now)
	s := &span{
		Breakdown: Breakdown{
			Name: task.Type, Task: uint64(task.ID), Parent: uint64(task.Parent),
			Root: task.Parent == trace.BackgroundTask, Goroutine: uint64(e.Goroutine()), Start: a.wall(a.now),
		},
		parent: a.countsFor(task.Parent),
		g:      g, begin: a.now, before: g.total,
		stw: a.stw.at(a.now), mark: a.mark.at(a.now), assist: g.assist.at(a.now),
	}
	if g.next.names(&task) {
		s.TraceID, s.SpanID, s.Root = g.next.trace, g.next.span, true
		g.next = nil
	}
	if s.parent != nil {
		s.depth = s.parent.depth + 1
		s.foreign = !s.parent.counts(g)
	}
	g.push(s)
	a.spans[task.ID] = s
}

// countsFor returns the open span for which a child of a task counts: that of the
// task, or where it lies too deep the one at maxNested above it.
func (a *analyzer) countsFor(task trace.TaskID) *span {
	s := a.spans[task]
	if s != nil && s.depth >= maxNested && s.up() != nil {
		return s.parent
	}
	return s
}

// counts tells whether what a goroutine does counts for the span already: it
// began on it, was created under it, or has a span below it.
func (s *span) counts(g *goroutine) bool {
	if g == s.g {
		return true
	}
	for t, n := g.innermost, 0; t != nil && n < maxNested; t, n = t.outer, n+1 {
		if t.under(s) {
			return true
		}
	}
	return g.owner.under(s)
}

// up returns the parent, nil for none: nothing counts for one that has ended first.
func (s *span) up() *span {
	if s.parent == nil || s.parent.closed {
		return nil
	}
	return s.parent
}

// under tells whether s is top or below it.
func (s *span) under(top *span) bool {
	for ; s != nil; s = s.up() {
		if s == top {
			return true
		}
	}
	return false
}

func (a *analyzer) endSpan(e *trace.Event) {
	s := a.spans[e.Task().ID]
	if s == nil {
		a.window.Beginless++
		return
	}
	a.close(s)
	a.window.Spans++
	if s.Root {
		a.roots.add(&s.Breakdown)
		a.window.keep(&s.Breakdown)
	}
}

// close ends a span. It touches its own goroutines only.
func (a *analyzer) close(s *span) {
	s.g.settle(a.now)
	s.Duration = a.now.Sub(s.begin)
	s.Self = s.g.total.minus(&s.before)
	s.STW, s.Mark = a.stw.at(a.now)-s.stw, a.mark.at(a.now)-s.mark
	s.MarkAssist = s.g.assist.at(a.now) - s.assist
	sortWakers(s.Wakers)

	s.closed = true
	delete(a.spans, trace.TaskID(s.Task))
	s.g.remove(s)
	for len(s.members) > 0 {
		g := s.members[len(s.members)-1]
		g.settle(a.now)
		s.leave(g)
		if p := s.up(); p != nil {
			p.join(g)
		}
	}
	if p := s.up(); p != nil {
		p.Others.add(&s.Others)
		if s.foreign {
			p.Others.add(&s.Self)
		}
	}
	a.each(&s.Breakdown)
}

// join makes a goroutine a member.
func (s *span) join(g *goroutine) {
	g.owner, g.place, g.base = s, len(s.members), g.total
	s.members = append(s.members, g)
}

// leave ends a membership: what the goroutine has done meanwhile counts.
func (s *span) leave(g *goroutine) {
	did := g.total.minus(&g.base)
	s.Others.add(&did)
	last := s.members[len(s.members)-1]
	s.members[g.place], last.place = last, g.place
	s.members[len(s.members)-1] = nil
	s.members = s.members[:len(s.members)-1]
	g.owner = nil
}

// push makes a span the innermost one of the goroutine that it began on.
func (g *goroutine) push(s *span) {
	s.outer = g.innermost
	if s.outer != nil {
		s.outer.inner = s
	} else {
		g.outermost = s
	}
	g.innermost = s
}

// remove takes a span off the goroutine that it began on.
func (g *goroutine) remove(s *span) {
	if s.outer != nil {
		s.outer.inner = s.inner
	} else {
		g.outermost = s.inner
	}
	if s.inner != nil {
		s.inner.outer = s.outer
	} else {
		g.innermost = s.outer
	}
	s.outer, s.inner = nil, nil
}
