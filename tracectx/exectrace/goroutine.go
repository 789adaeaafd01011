// SPDX-License-Identifier: Apache-2.0

package exectrace

import "golang.org/x/exp/trace"

// goroutine is the state of a goroutine during the analysis.
type goroutine struct {
	state   trace.GoState
	cause   Cause
	entered trace.Time // begin of the state; 0: before the recording
	since   trace.Time // the time until which total counts
	total   Parts
	proc    trace.ProcID

	assist  accumulator
	nextLog *rootLog // identifies the next span

	// The open spans that began on the goroutine, linked by outer and inner.
	outermost, innermost *span

	// owner is the innermost open span under which the goroutine was created. place is
	// its index in owner.members, and base the value of total when it became a member.
	owner *span
	place int
	base  Parts
}

func (a *analyzer) goroutine(id trace.GoID) *goroutine {
	g := a.goroutines[id]
	if g == nil {
		g = &goroutine{state: trace.GoUndetermined, proc: trace.NoProc}
		a.goroutines[id] = g
	}
	return g
}

// update adds the time until now to total.
func (g *goroutine) update(now trace.Time) {
	if g.state != trace.GoUndetermined {
		g.total.times[g.cause] += now.Sub(g.since)
	}
	g.since = now
}

// span returns the innermost span that the goroutine works for, or nil.
func (g *goroutine) span() *span {
	if g.innermost != nil {
		return g.innermost
	}
	return g.owner
}

// transition changes the state of a goroutine.
func (a *analyzer) transition(e *trace.Event) {
	t := e.StateTransition()
	if t.Resource.Kind != trace.ResourceGoroutine {
		return
	}
	from, to := t.Goroutine()
	if from == to { // the tracer repeats the state in each generation
		return
	}
	id := t.Resource.Goroutine()
	g := a.goroutine(id)
	g.update(a.now)
	a.leave(g, e, to)
	if from == trace.GoNotExist {
		a.create(g, e, &t)
	}
	if to == trace.GoNotExist {
		a.end(id, g)
		return
	}
	g.state, g.cause, g.entered = to, a.causeOf(to, &t), a.now
	if from == trace.GoUndetermined {
		g.entered = 0
	}
	switch to {
	case trace.GoRunnable:
		a.queue.add(1, a.now)
	case trace.GoRunning:
		a.run(g, e.Proc())
	default:
	}
}

// leave ends the present state of a goroutine.
func (a *analyzer) leave(g *goroutine, e *trace.Event, to trace.GoState) {
	switch g.state {
	case trace.GoRunnable:
		a.queue.add(-1, a.now)
		if to == trace.GoRunning && g.entered != 0 {
			a.latency.add(a.now.Sub(g.entered))
		}
	case trace.GoRunning:
		if p := a.processors[g.proc]; p != nil {
			p.end(a.now)
		}
		g.proc = trace.NoProc
	case trace.GoWaiting:
		if to == trace.GoRunnable {
			a.wake(g, e)
		}
	default:
	}
}

// run assigns a goroutine to a processor.
func (a *analyzer) run(g *goroutine, id trace.ProcID) {
	if id == trace.NoProc {
		return
	}
	p := a.processors[id]
	if p == nil {
		p = new(accumulator)
		a.processors[id] = p
	}
	if p.since == 0 {
		p.begin(a.now)
		g.proc = id
	}
}

// wake adds the waker of a goroutine to its spans.
func (a *analyzer) wake(g *goroutine, e *trace.Event) {
	if g.outermost == nil {
		return
	}
	var site, name string
	if by := e.Goroutine(); by != trace.NoGoroutine {
		site = a.stacks.entry(e.Stack()).site
		if w := a.goroutines[by]; w != nil {
			if s := w.span(); s != nil {
				name = s.Name
			}
		}
	}
	for s, n := g.outermost, 0; s != nil && n < maxNested; s, n = s.inner, n+1 {
		s.addWaker(g.cause, site, name, a.now.Sub(g.entered))
	}
}

// create makes a new goroutine a member of the span that its creator works for.
func (a *analyzer) create(g *goroutine, e *trace.Event, t *trace.StateTransition) {
	creator := a.goroutines[e.Goroutine()]
	if creator == nil || g.owner != nil || a.stacks.entry(t.Stack).system {
		return
	}
	owner := creator.span()
	if owner == nil {
		return
	}
	owner.join(g)
	for s := owner; s != nil; s = s.openParent() {
		s.Goroutines++
	}
}

// end removes a goroutine that ended.
func (a *analyzer) end(id trace.GoID, g *goroutine) {
	if g.owner != nil {
		g.owner.leave(g)
	}
	g.state, g.cause = trace.GoNotExist, Gone // for its open spans
	delete(a.goroutines, id)
}
