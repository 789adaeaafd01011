// SPDX-License-Identifier: Apache-2.0

package exectrace

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"golang.org/x/exp/trace"

	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines"
)

const (
	// maxGenerations is how many go statements are followed from a goroutine back.
	maxGenerations = 8
	// maxCreationFrames bounds the frames of them all.
	maxCreationFrames = 128
)

// ancestry is the stacks of the go statements that led to a goroutine, its own
// first, as indexes of a stackTable; 0 after the last.
type ancestry [maxGenerations]int32

// transcript follows the goroutines of a trace, event by event. It forgets a
// goroutine that ends: the goroutines that it created have a copy of its ancestry.
type transcript struct {
	goroutines map[trace.GoID]*witness
	stacks     *stackTable

	ancestries []ancestry // each distinct one once; the first is the empty one
	known      map[ancestry]int32

	events, listed int // listed counts events that only state a goroutine's state
	first, now     trace.Time
	clock          *trace.ClockSnapshot
}

// witness is the state of one goroutine.
type witness struct {
	wait    trace.Stack // where it waits, or waited last
	other   trace.Stack // its last stack that is not a wait, such as a system call
	creator trace.GoID
	created bool
	birth   int32 // index of its ancestry; created only
	system  bool  // created as one of the runtime's own

	state  trace.GoState
	kind   waitKind // of the wait that it is in
	ran    bool
	wakeup goroutines.Wakeup
	waker  trace.GoID // where wakeup is WakeupGoroutine

	unclear   bool // a timer or the poller caused the first wakeup; the next wait decides
	inSyscall bool // in one system call since the trace began
	timer     bool // started by a timer, and has not waited since
}

func newTranscript() *transcript {
	return &transcript{
		goroutines: map[trace.GoID]*witness{},
		stacks:     newStackTable(),
		ancestries: make([]ancestry, 1),
		known:      map[ancestry]int32{{}: 0},
	}
}

func (l *transcript) event(e *trace.Event) error {
	l.now = e.Time()
	if l.events == 0 {
		l.first = l.now
	}
	if length := l.now.Sub(l.first); length < 0 || length > maxLength {
		return fmt.Errorf("%w: an event is %v after the first", ErrFormat, length)
	}
	l.events++
	switch e.Kind() {
	case trace.EventSync:
		l.stacks.forget()
		if s := e.Sync(); l.clock == nil {
			l.clock = s.ClockSnapshot
		}
	case trace.EventStateTransition:
		if t := e.StateTransition(); t.Resource.Kind == trace.ResourceGoroutine {
			l.transition(e, &t)
		}
	default:
	}
	return nil
}

func (l *transcript) transition(e *trace.Event, t *trace.StateTransition) {
	id := t.Resource.Goroutine()
	from, to := t.Goroutine()
	switch {
	case to == trace.GoNotExist:
		delete(l.goroutines, id)
		return
	case from == trace.GoNotExist:
		l.create(e, t, to)
		return
	}
	g := l.goroutines[id]
	if g == nil {
		g = new(witness)
		l.goroutines[id] = g
	}
	if from == to || from == trace.GoUndetermined {
		l.listed++
		l.list(g, t, from, to)
		return
	}
	g.ran = g.ran || !g.created
	l.leave(g, e)
	l.enter(g, t, to)
}

// create adds a new goroutine.
func (l *transcript) create(e *trace.Event, t *trace.StateTransition, to trace.GoState) {
	g := &witness{created: true, state: to}
	if to == trace.GoWaiting {
		g.kind = waitRuntime // a coroutine has not begun
	}
	if to != trace.GoSyscall { // a thread of C code calls Go: no stack
		g.system = l.stacks.entry(t.Stack).system
	}
	if by := e.Goroutine(); by != trace.NoGoroutine {
		g.creator = by
		g.birth = l.descend(l.stacks.index(e.Stack()), l.goroutines[by])
	} else {
		g.timer = to == trace.GoRunnable
	}
	l.goroutines[t.Resource.Goroutine()] = g
}

// descend returns the index of the ancestry of a goroutine that creator, which
// may be nil, created at a stack.
func (l *transcript) descend(stack int32, creator *witness) int32 {
	if stack == 0 {
		return 0
	}
	a := ancestry{stack}
	if creator != nil {
		copy(a[1:], l.ancestries[creator.birth][:])
	}
	i, ok := l.known[a]
	if !ok {
		i = int32(len(l.ancestries))
		l.ancestries = append(l.ancestries, a)
		l.known[a] = i
	}
	return i
}

// list notes the state of a goroutine that the tracer repeats in each generation,
// once a second. The goroutine did not change its state.
func (l *transcript) list(g *witness, t *trace.StateTransition, from, to trace.GoState) {
	g.state = to
	if to == trace.GoWaiting {
		l.listWait(g, t.Stack)
		return
	}
	if t.Stack != trace.NoStack {
		g.other = t.Stack
	}
	if from == trace.GoUndetermined {
		g.inSyscall = to == trace.GoSyscall
		g.ran = to == trace.GoRunning || to == trace.GoRunnable
	}
}

// listWait notes the stack at which a goroutine waits. The runtime leaves the stack
// out if it states the wait only because the goroutine is about to be woken.
func (l *transcript) listWait(g *witness, stack trace.Stack) {
	if stack == trace.NoStack {
		return
	}
	if g.kind == waitUnknown {
		g.kind = l.stacks.entry(stack).wait
	}
	if g.kind != waitRuntime || g.wait == trace.NoStack {
		g.wait = stack
	}
}

// leave ends the present state of a goroutine.
func (l *transcript) leave(g *witness, e *trace.Event) {
	switch {
	case g.state == trace.GoWaiting && g.kind != waitRuntime:
		g.ran = true
		if g.wakeup == goroutines.WakeupNone {
			g.wakeup, g.unclear = l.wakeup(g, e)
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
// outside of goroutines, and their events have no stack: the kind of wait decides
// between the two. If it is unknown, wakeup reports so.
func (l *transcript) wakeup(g *witness, e *trace.Event) (w goroutines.Wakeup, unclear bool) {
	if by := e.Goroutine(); by != trace.NoGoroutine {
		if waker := l.goroutines[by]; waker != nil && waker.timer {
			return goroutines.WakeupTimer, false
		}
		return goroutines.WakeupGoroutine, false
	}
	switch g.kind {
	case waitNetwork:
		return goroutines.WakeupNetwork, false
	case waitUnknown:
		return goroutines.WakeupOther, true
	default:
		return goroutines.WakeupTimer, false
	}
}

// enter begins a state of a goroutine.
func (l *transcript) enter(g *witness, t *trace.StateTransition, to trace.GoState) {
	g.state = to
	if to != trace.GoWaiting {
		if t.Stack != trace.NoStack {
			g.other = t.Stack
		}
		return
	}
	g.kind = kindOfReason(t.Reason)
	if g.kind == waitRuntime {
		return
	}
	g.wait, g.timer = t.Stack, false
	if g.unclear { // assume a loop that waits for the same thing again
		g.unclear = false
		g.wakeup = goroutines.WakeupTimer
		if g.kind == waitNetwork {
			g.wakeup = goroutines.WakeupNetwork
		}
	}
}

// recording returns the result, without Bytes and CPU.
func (l *transcript) recording() *goroutines.Recording {
	r := &goroutines.Recording{Duration: l.now.Sub(l.first), Events: l.events, Goroutines: l.result()}
	if l.clock != nil {
		r.Start = l.clock.Wall.Add(l.first.Sub(l.clock.Trace))
	}
	return r
}

func (l *transcript) result() []goroutines.RecordedGoroutine {
	creations := make([][]goroutines.Site, len(l.ancestries))
	for i := range l.ancestries {
		creations[i] = l.creation(&l.ancestries[i])
	}
	all := make([]goroutines.RecordedGoroutine, 0, len(l.goroutines))
	for id, g := range l.goroutines {
		stack := l.stacks.entry(g.stack())
		if g.system || stack.system {
			continue
		}
		r := goroutines.RecordedGoroutine{ID: uint64(id), Stack: stack.sites, Created: g.created, Ran: g.ran, Wakeup: g.wakeup, Waker: uint64(g.waker)}
		if g.created {
			r.Creator, r.Creation = uint64(g.creator), creations[g.birth]
		}
		all = append(all, r)
	}
	slices.SortFunc(all, func(x, y goroutines.RecordedGoroutine) int { return cmp.Compare(x.ID, y.ID) })
	return all
}

// stack returns where a goroutine waits, or waited last.
func (g *witness) stack() trace.Stack {
	if g.other != trace.NoStack && (g.state == trace.GoSyscall || g.wait == trace.NoStack) {
		return g.other
	}
	return g.wait
}

// creation returns the frames of an ancestry.
func (l *transcript) creation(a *ancestry) []goroutines.Site {
	if a[1] == 0 {
		return l.stacks.entries[a[0]].sites
	}
	var all []goroutines.Site
	for _, i := range a {
		s := l.stacks.entries[i].sites
		all = append(all, s[:min(len(s), maxCreationFrames-len(all))]...)
	}
	return slices.Clip(all)
}

// cost estimates the CPU time that the tracer took. It leaves out the listings at
// the start and at the end, whose time Record measures, and adds the one that
// stopping the recorder causes.
func (l *transcript) cost() time.Duration {
	listed := max(0, l.listed-len(l.goroutines))
	return time.Duration(l.events)*costPerEvent + time.Duration(listed)*costPerListed
}
