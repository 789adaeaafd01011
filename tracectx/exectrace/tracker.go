// SPDX-License-Identifier: Apache-2.0

package exectrace

import (
	"slices"
	"sort"
	"time"

	"golang.org/x/exp/trace"

	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines"
)

const (
	// maxGenerations is the number of go statements that are followed back from a
	// goroutine.
	maxGenerations = 8
	// maxCreationFrames bounds the frames of all these statements.
	maxCreationFrames = 128
)

// ancestry is the stacks of the go statements that led to a goroutine, as indexes of a
// stackTable: first the one that created it; 0 after the last one.
type ancestry [maxGenerations]int32

// A tracker follows the goroutines of a trace, event by event, for Record. It forgets
// goroutines that end; those that they created have a copy of the ancestry.
type tracker struct {
	timeline

	goroutines map[trace.GoID]*tracked
	stacks     *stackTable

	ancestries []ancestry // distinct; the first is the empty one
	indexes    map[ancestry]int32

	listed int // events that repeat a goroutine's state
}

// tracked is the state of one goroutine.
type tracked struct {
	wait     trace.Stack // where it waits, or waited last
	other    trace.Stack // its last stack outside a wait, such as a system call
	creator  trace.GoID
	created  bool
	ancestry int32 // index; if created
	system   bool  // created as a goroutine of the runtime

	state  trace.GoState
	cause  Cause // of the present or the last wait; Running: unknown
	ran    bool
	wakeup goroutines.Wakeup
	waker  trace.GoID // if wakeup is WakeupGoroutine

	unclear   bool // a timer or the poller caused the first wakeup; the next wait decides which
	inSyscall bool // in one system call since the trace began
	timer     bool // started by a timer, and has not waited since
}

func newTracker() *tracker {
	return &tracker{
		goroutines: map[trace.GoID]*tracked{},
		stacks:     newStackTable(),
		ancestries: make([]ancestry, 1),
		indexes:    map[ancestry]int32{{}: 0},
	}
}

func (t *tracker) event(e *trace.Event) error {
	if err := t.advance(e); err != nil {
		return err
	}
	switch e.Kind() {
	case trace.EventSync:
		t.stacks.endGeneration()
	case trace.EventStateTransition:
		if s := e.StateTransition(); s.Resource.Kind == trace.ResourceGoroutine {
			t.transition(e, &s)
		}
	default:
	}
	return nil
}

func (t *tracker) transition(e *trace.Event, s *trace.StateTransition) {
	id := s.Resource.Goroutine()
	from, to := s.Goroutine()
	switch {
	case to == trace.GoNotExist:
		delete(t.goroutines, id)
		return
	case from == trace.GoNotExist:
		t.create(e, s, to)
		return
	}
	g := t.goroutines[id]
	if g == nil {
		g = new(tracked)
		t.goroutines[id] = g
	}
	if from == to || from == trace.GoUndetermined {
		t.listed++
		t.list(g, s, from, to)
		return
	}
	g.ran = g.ran || !g.created
	t.leave(g, e)
	t.enter(g, s, to)
}

// create adds a new goroutine.
func (t *tracker) create(e *trace.Event, s *trace.StateTransition, to trace.GoState) {
	g := &tracked{created: true, state: to}
	if to == trace.GoWaiting {
		g.cause = Preempted // a coroutine that has not begun
	}
	if to != trace.GoSyscall { // a thread of C code that calls Go has no stack
		g.system = t.stacks.entry(s.Stack).system
	}
	if by := e.Goroutine(); by != trace.NoGoroutine {
		g.creator = by
		g.ancestry = t.descend(t.stacks.index(e.Stack()), t.goroutines[by])
	} else {
		g.timer = to == trace.GoRunnable
	}
	t.goroutines[s.Resource.Goroutine()] = g
}

// descend returns the index of the ancestry of a goroutine that creator, which may be
// nil, created at a stack.
func (t *tracker) descend(stack int32, creator *tracked) int32 {
	if stack == 0 {
		return 0
	}
	a := ancestry{stack}
	if creator != nil {
		copy(a[1:], t.ancestries[creator.ancestry][:])
	}
	i, ok := t.indexes[a]
	if !ok {
		i = int32(len(t.ancestries))
		t.ancestries = append(t.ancestries, a)
		t.indexes[a] = i
	}
	return i
}

// list handles the state of a goroutine that the tracer repeats in each generation,
// about once a second. The goroutine did not change its state.
func (t *tracker) list(g *tracked, s *trace.StateTransition, from, to trace.GoState) {
	g.state = to
	if to == trace.GoWaiting {
		t.listWait(g, s.Stack)
		return
	}
	if s.Stack != trace.NoStack {
		g.other = s.Stack
	}
	if from == trace.GoUndetermined {
		g.inSyscall = to == trace.GoSyscall
		g.ran = to == trace.GoRunning || to == trace.GoRunnable
	}
}

// listWait handles the stack at which a goroutine waits. The runtime omits the stack if
// it lists the wait only because the goroutine is about to be woken.
func (t *tracker) listWait(g *tracked, stack trace.Stack) {
	if stack == trace.NoStack {
		return
	}
	if !g.cause.Blocked() {
		g.cause = t.stacks.entry(stack).wait
	}
	if !g.cause.byRuntime() || g.wait == trace.NoStack {
		g.wait = stack
	}
}

// leave ends the present state of a goroutine.
func (t *tracker) leave(g *tracked, e *trace.Event) {
	switch {
	case g.state == trace.GoWaiting && !g.cause.byRuntime():
		g.ran = true
		if g.wakeup == goroutines.WakeupNone {
			g.wakeup, g.unclear = t.wakeup(g, e)
			if g.wakeup == goroutines.WakeupGoroutine {
				g.waker = e.Goroutine()
			}
		}
	case g.state == trace.GoSyscall && g.inSyscall:
		g.inSyscall = false
		g.wakeup = goroutines.WakeupSyscall
	}
}

// wakeup returns what wakes a goroutine. The scheduler runs timers and the poller
// outside of goroutines, and their events have no stack: the cause of the wait decides
// between the two. If it is unknown, unclear is true.
func (t *tracker) wakeup(g *tracked, e *trace.Event) (w goroutines.Wakeup, unclear bool) {
	if by := e.Goroutine(); by != trace.NoGoroutine {
		if waker := t.goroutines[by]; waker != nil && waker.timer {
			return goroutines.WakeupTimer, false
		}
		return goroutines.WakeupGoroutine, false
	}
	if !g.cause.Blocked() {
		return goroutines.WakeupOther, true
	}
	return wakeupOutside(g.cause), false
}

// wakeupOutside returns what ends a wait, if no goroutine does.
func wakeupOutside(wait Cause) goroutines.Wakeup {
	if wait == Network {
		return goroutines.WakeupNetwork
	}
	return goroutines.WakeupTimer
}

// enter begins a state of a goroutine.
func (t *tracker) enter(g *tracked, s *trace.StateTransition, to trace.GoState) {
	g.state = to
	if to != trace.GoWaiting {
		if s.Stack != trace.NoStack {
			g.other = s.Stack
		}
		return
	}
	g.cause = t.stacks.causeOf(s)
	if g.cause.byRuntime() {
		return
	}
	g.wait, g.timer = s.Stack, false
	if g.unclear { // assume a loop that waits for the same thing again
		g.unclear, g.wakeup = false, wakeupOutside(g.cause)
	}
}

// recording returns the result, without Bytes and CPU.
func (t *tracker) recording() *goroutines.Recording {
	creations := make([][]goroutines.Site, len(t.ancestries))
	for i := range t.ancestries {
		creations[i] = t.creation(&t.ancestries[i])
	}
	all := make([]goroutines.RecordedGoroutine, 0, len(t.goroutines))
	for id, g := range t.goroutines {
		stack := t.stacks.entry(g.stack())
		if g.system || stack.system {
			continue
		}
		r := goroutines.RecordedGoroutine{ID: uint64(id), Stack: stack.sites, Created: g.created, Ran: g.ran, Wakeup: g.wakeup, Waker: uint64(g.waker)}
		if g.created {
			r.Creator, r.Creation = uint64(g.creator), creations[g.ancestry]
		}
		all = append(all, r)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].ID < all[j].ID })
	return &goroutines.Recording{Start: t.wall(t.first), Duration: t.duration(), Events: t.events, Goroutines: all}
}

// stack returns where a goroutine waits, or waited last.
func (g *tracked) stack() trace.Stack {
	if g.other != trace.NoStack && (g.state == trace.GoSyscall || g.wait == trace.NoStack) {
		return g.other
	}
	return g.wait
}

// creation returns the frames of an ancestry.
func (t *tracker) creation(a *ancestry) []goroutines.Site {
	if a[1] == 0 {
		return t.stacks.entries[a[0]].sites
	}
	var all []goroutines.Site
	for _, i := range a {
		s := t.stacks.entries[i].sites
		all = append(all, s[:min(len(s), maxCreationFrames-len(all))]...)
	}
	return slices.Clip(all)
}

// cost estimates the CPU time that the tracer took. It omits the lists of goroutines
// at the start and at the end, whose time Record measures, and adds the list that
// stopping the recorder causes.
func (t *tracker) cost() time.Duration {
	listed := max(0, t.listed-len(t.goroutines))
	return time.Duration(t.events)*costPerEvent + time.Duration(listed)*costPerListed
}
