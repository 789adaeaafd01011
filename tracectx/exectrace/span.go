// SPDX-License-Identifier: Apache-2.0

package exectrace

import (
	"sort"
	"time"

	"golang.org/x/exp/trace"

	"github.com/gmpulse/gmpulse/tracectx"
)

// maxNested bounds the work per event if spans are nested: with 16,000 nested spans,
// an event must not take 16,000 steps. A span at a greater depth counts for its
// ancestor at this depth and for the ancestors of that, but not for those in between.
// Of the open spans of a goroutine, the outermost ones up to this number get wakers.
const maxNested = 64

// span is an open span.
type span struct {
	Breakdown

	parent *span // for which it counts, see openParent
	depth  int   // number of ancestors
	closed bool
	// outer and inner are the neighbours among the open spans of its goroutine.
	outer, inner *span
	g            *goroutine
	// foreign means that what its goroutine does does not count for parent otherwise.
	foreign bool
	members []*goroutine // created under the span and not under a span below it

	// Values at the begin of the span.
	begin             trace.Time
	before            Parts // of its goroutine
	stw, mark, assist time.Duration
}

// rootLog is the log event that precedes a local root span, see
// tracectx.TraceLogCategory.
type rootLog struct {
	trace [16]byte
	span  [8]byte
	name  string // cut
}

func (a *analyzer) log(e *trace.Event) {
	l := e.Log()
	if l.Category != tracectx.TraceLogCategory {
		return
	}
	if r, ok := parseRootLog(l.Message); ok {
		a.goroutine(e.Goroutine()).nextLog = r
	}
}

func parseRootLog(message string) (*rootLog, bool) {
	r := new(rootLog)
	n := copy(r.trace[:], message)
	m := copy(r.span[:], message[n:])
	r.name = message[n+m:]
	return r, m == len(r.span)
}

// matches reports whether the log event identifies a task. Another span processor may
// begin spans of its own between the two.
func (r *rootLog) matches(task *trace.Task) bool {
	return r != nil && len(task.Type) >= len(r.name) && task.Type[:len(r.name)] == r.name
}

func (a *analyzer) beginSpan(e *trace.Event) {
	task := e.Task()
	if a.spans[task.ID] != nil { // in a damaged trace
		return
	}
	g := a.goroutine(e.Goroutine())
	if g.state == trace.GoUndetermined { // it runs, because it begins a task
		g.state, g.cause, g.since = trace.GoRunning, Running, a.now
	}
	g.update(a.now)
	s := &span{
		Breakdown: Breakdown{
			Name: task.Type, Task: uint64(task.ID), Parent: uint64(task.Parent),
			Root: task.Parent == trace.BackgroundTask, Start: a.wall(a.now),
		},
		parent: a.effectiveParent(task.Parent),
		g:      g, begin: a.now, before: g.total,
		stw: a.stw.at(a.now), mark: a.mark.at(a.now), assist: g.assist.at(a.now),
	}
	if g.nextLog.matches(&task) {
		s.TraceID, s.SpanID, s.Root = g.nextLog.trace, g.nextLog.span, true
		g.nextLog = nil
	}
	if s.parent != nil {
		s.depth = s.parent.depth + 1
		s.foreign = !s.parent.covers(g)
	}
	g.push(s)
	a.spans[task.ID] = s
}

// effectiveParent returns the open span for which a child of a task counts, see
// maxNested.
func (a *analyzer) effectiveParent(task trace.TaskID) *span {
	s := a.spans[task]
	if s != nil && s.depth >= maxNested && s.openParent() != nil {
		return s.parent
	}
	return s
}

// covers reports whether what a goroutine does counts for the span: the span began on
// it, it was created under the span, or a span below began on it.
func (s *span) covers(g *goroutine) bool {
	if g == s.g {
		return true
	}
	for t, n := g.innermost, 0; t != nil && n < maxNested; t, n = t.outer, n+1 {
		if t.isWithin(s) {
			return true
		}
	}
	return g.owner.isWithin(s)
}

// openParent returns the parent, or nil if there is none or it has ended.
func (s *span) openParent() *span {
	if s.parent == nil || s.parent.closed {
		return nil
	}
	return s.parent
}

// isWithin reports whether s is ancestor or below it.
func (s *span) isWithin(ancestor *span) bool {
	for ; s != nil; s = s.openParent() {
		if s == ancestor {
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
		a.window.addSlowest(&s.Breakdown)
	}
}

// close ends a span and passes its breakdown on.
func (a *analyzer) close(s *span) {
	s.g.update(a.now)
	s.Duration = a.now.Sub(s.begin)
	s.Self = s.g.total.minus(&s.before)
	s.STW, s.Mark = a.stw.at(a.now)-s.stw, a.mark.at(a.now)-s.mark
	s.MarkAssist = s.g.assist.at(a.now) - s.assist
	sort.Slice(s.Wakers, func(i, j int) bool { return s.Wakers[i].Time > s.Wakers[j].Time })

	s.closed = true
	delete(a.spans, trace.TaskID(s.Task))
	s.g.remove(s)
	for len(s.members) > 0 {
		g := s.members[len(s.members)-1]
		g.update(a.now)
		s.leave(g)
		if p := s.openParent(); p != nil {
			p.join(g)
		}
	}
	if p := s.openParent(); p != nil {
		p.Others.add(&s.Others)
		if s.foreign {
			p.Others.add(&s.Self)
		}
	}
	a.each(&s.Breakdown)
}

// join makes a goroutine a member of the span.
func (s *span) join(g *goroutine) {
	g.owner, g.place, g.base = s, len(s.members), g.total
	s.members = append(s.members, g)
}

// leave removes a member. What the goroutine did as a member counts for the span.
func (s *span) leave(g *goroutine) {
	did := g.total.minus(&g.base)
	s.Others.add(&did)
	last := s.members[len(s.members)-1]
	s.members[g.place], last.place = last, g.place
	s.members[len(s.members)-1] = nil
	s.members = s.members[:len(s.members)-1]
	g.owner = nil
}

// push makes a span the innermost one of its goroutine.
func (g *goroutine) push(s *span) {
	s.outer = g.innermost
	if s.outer != nil {
		s.outer.inner = s
	} else {
		g.outermost = s
	}
	g.innermost = s
}

// remove removes a span from the list of its goroutine.
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
