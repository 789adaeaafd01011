// SPDX-License-Identifier: Apache-2.0

package exectrace

import (
	"golang.org/x/exp/trace"
)

// goroutine is what is known of one.
type goroutine struct {
	state   trace.GoState
	cause   Cause
	entered trace.Time // this state; 0: before the recording
	since   trace.Time
	total   Parts // up to since
	proc    trace.ProcID

	assist stretch
	next   *rootLog

	// The open spans that began on it, a list by way of outer and inner.
	outermost, innermost *span

	// owner is the innermost open span that it was created under, place its index
	// among the owner's members, base what it had done when it became one.
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

// settle counts the time up to now.
func (g *goroutine) settle(now trace.Time) {
	if g.state != trace.GoUndetermined {
		g.total[g.cause] += now.Sub(g.since)
	}
	g.since = now
}

// span returns the innermost span that it works for, nil for none.
func (g *goroutine) span() *span {
	if g.innermost != nil {
		return g.innermost
	}
	return g.owner
}

// transition moves a goroutine from what it did to what it does now.
func (a *analyzer) transition(e *trace.Event) {
	t := e.StateTransition()
	if t.Resource.Kind != trace.ResourceGoroutine {
		return
	}
	from, to := t.Goroutine()
	if from == to {
		return // said again, at the begin of the next second
	}
	id := t.Resource.Goroutine()
	g := a.goroutine(id)
	g.settle(a.now)
	a.leave(g, e, to)
	if from == trace.GoNotExist {
		a.adopt(g, e, &t)
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

// leave ends what the goroutine did.
func (a *analyzer) leave(g *goroutine, e *trace.Event, to trace.GoState) {
	switch g.state {
	case trace.GoRunnable:
		a.queue.add(-1, a.now)
		if to == trace.GoRunning && g.entered != 0 {
			a.latency.add(a.now.Sub(g.entered))
		}
	case trace.GoRunning:
		if p := a.processors[g.proc]; p != nil && p.since != 0 {
			p.busy += a.now.Sub(p.since)
			p.since = 0
		}
		g.proc = trace.NoProc
	case trace.GoWaiting:
		if to == trace.GoRunnable {
			a.wake(g, e)
		}
	default:
	}
}

// run puts the goroutine on a processor.
func (a *analyzer) run(g *goroutine, id trace.ProcID) {
	if id == trace.NoProc {
		return
	}
	p := a.processors[id]
	if p == nil {
		p = new(processor)
		a.processors[id] = p
	}
	if p.since == 0 {
		p.since = a.now
		g.proc = id
	}
}

// wake tells the spans of a goroutine who woke it.
func (a *analyzer) wake(g *goroutine, e *trace.Event) {
	if g.outermost == nil {
		return
	}
	var site, name string
	if by := e.Goroutine(); by != trace.NoGoroutine {
		site = a.places.site(e.Stack())
		if w := a.goroutines[by]; w != nil {
			if s := w.span(); s != nil {
				name = s.Name
			}
		}
	}
	for s, n := g.outermost, 0; s != nil && n < maxNested; s, n = s.inner, n+1 {
		s.wake(g.cause, site, name, a.now.Sub(g.entered))
	}
}

// adopt gives a new goroutine to the span that its creator works for.
func (a *analyzer) adopt(g *goroutine, e *trace.Event, t *trace.StateTransition) {
	creator := a.goroutines[e.Goroutine()]
	if creator == nil || g.owner != nil || beganInRuntime(t.Stack) {
		return
	}
	owner := creator.span()
	if owner == nil {
		return
	}
	owner.join(g)
	for s := owner; s != nil; s = s.up() {
		s.Goroutines++
	}
}

// end lets go of a goroutine.
func (a *analyzer) end(id trace.GoID, g *goroutine) {
	if g.owner != nil {
		g.owner.leave(g)
	}
	g.state, g.cause = trace.GoNotExist, Gone // for spans that are still open
	delete(a.goroutines, id)
}
