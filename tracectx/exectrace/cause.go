// SPDX-License-Identifier: Apache-2.0

package exectrace

import (
	"iter"
	"strings"
	"time"

	"golang.org/x/exp/trace"
)

// Cause is a state of a goroutine, with the reason of a wait.
type Cause uint8

// The causes. Those from ChanSend on are waits.
const (
	Running  Cause = iota // on a processor; the system may have preempted the thread
	Runnable              // ready to run, waiting for a processor
	Syscall               // in a system call or in C
	ChanSend
	ChanReceive
	Select
	Mutex
	RWMutex
	WaitGroup
	Cond
	Once
	Network
	Sleep
	Assist // waits for the garbage collector before it may allocate
	GCWait // waits for the end of a collection
	Preempted
	Coroutine // waits for the other side of iter.Pull
	Forever   // nil channel, select {}
	Other
	Gone // ended before its span
	numCauses
)

// String returns the cause in the form of the span attributes.
func (c Cause) String() string {
	if c >= numCauses {
		return "unknown"
	}
	return [numCauses]string{
		"running", "runnable", "syscall",
		"chan_send", "chan_receive", "select", "mutex", "rwmutex", "waitgroup", "cond", "once",
		"network", "sleep", "gc_assist", "gc_wait", "preempted", "coroutine", "forever", "other", "gone",
	}[c]
}

// causesByReason returns the causes by the reasons of the runtime, see
// traceBlockReasonStrings in runtime/traceruntime.go. Other reasons mean Other, and
// "sync" a cause that the stack tells.
func causesByReason() map[string]Cause {
	return map[string]Cause{
		"chan send": ChanSend, "chan receive": ChanReceive, "select": Select, "sync.(*Cond).Wait": Cond,
		"network": Network, "sleep": Sleep, "GC mark assist wait for work": Assist,
		"wait until GC ends": GCWait, "GC weak to strong wait": GCWait, "GC background sweeper wait": GCWait,
		"preempted": Preempted, "wait for debug call": Preempted, "coroutine": Coroutine, "forever": Forever,
	}
}

// Blocked reports whether the cause is a wait.
func (c Cause) Blocked() bool { return c >= ChanSend && c < numCauses }

// byRuntime reports whether the runtime makes a goroutine wait, whatever the goroutine does.
func (c Cause) byRuntime() bool { return c == Assist || c == GCWait || c == Preempted }

// Parts is a duration divided by cause.
type Parts struct{ times [numCauses]time.Duration }

// Of returns the time of one cause.
func (p *Parts) Of(c Cause) time.Duration {
	if c >= numCauses {
		return 0
	}
	return p.times[c]
}

// Blocked returns the time of all waits.
func (p *Parts) Blocked() (d time.Duration) {
	for _, part := range p.times[ChanSend:] {
		d += part
	}
	return d
}

// All iterates over the causes whose time is not zero.
func (p *Parts) All() iter.Seq2[Cause, time.Duration] {
	return func(yield func(Cause, time.Duration) bool) {
		for c, d := range p.times {
			if d != 0 && !yield(Cause(c), d) {
				return
			}
		}
	}
}

func (p *Parts) add(q *Parts) {
	for c := range p.times {
		p.times[c] += q.times[c]
	}
}

// minus returns the difference of p and q.
func (p *Parts) minus(q *Parts) (d Parts) {
	for c := range p.times {
		d.times[c] = p.times[c] - q.times[c]
	}
	return d
}

// causeOf returns the cause that a transition of a goroutine begins.
func (a *analyzer) causeOf(to trace.GoState, t *trace.StateTransition) Cause {
	switch to {
	case trace.GoRunning:
		return Running
	case trace.GoRunnable:
		return Runnable
	case trace.GoSyscall:
		return Syscall
	case trace.GoWaiting:
		return a.stacks.causeOf(t)
	default:
		return Other
	}
}

// causeOf returns the cause of a wait that begins.
func (t *stackTable) causeOf(wait *trace.StateTransition) Cause {
	if wait.Reason == "sync" {
		return t.entry(wait.Stack).wait
	}
	if c, ok := t.reasons[wait.Reason]; ok {
		return c
	}
	return Other
}

// causeOfFunction returns the cause of a wait in a function, if the function tells.
func causeOfFunction(function string) (c Cause, ok bool) {
	for _, s := range []struct {
		prefix string
		cause  Cause
	}{
		{"internal/sync.(*Mutex).", Mutex},
		{"sync.(*Mutex).", Mutex},
		{"sync.(*RWMutex).", RWMutex},
		{"sync.(*Once).", Once},
		{"sync.(*WaitGroup).Wait", WaitGroup}, // goroutines begin in its method Go
		{"internal/poll.runtime_pollWait", Network},
		{"runtime.gcParkAssist", Assist},
		{"runtime.gcAssistAlloc", Assist},
		{"runtime.gcParkStrongFromWeak", GCWait},
	} {
		if strings.HasPrefix(function, s.prefix) {
			return s.cause, true
		}
	}
	return Other, false
}
