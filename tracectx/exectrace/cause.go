// SPDX-License-Identifier: Apache-2.0

package exectrace

import (
	"iter"
	"strings"
	"time"

	"golang.org/x/exp/trace"
)

// Cause is what a goroutine spends a moment with.
type Cause uint8

// The causes. Those from ChanSend on are waits.
const (
	Running  Cause = iota // on a processor; the thread may have lost its core meanwhile
	Runnable              // ready, and no processor free
	Syscall               // in the kernel, or in C
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
	Assist // waits for the collector before it may allocate
	GCWait // waits for the collector's end
	Preempted
	Coroutine // the other side of iter.Pull runs
	Forever   // nil channel, select {}
	Other
	Gone // the goroutine has ended before its span
	NumCauses
)

// String returns the cause as attributes have it.
func (c Cause) String() string {
	if c >= NumCauses {
		return "unknown"
	}
	return [NumCauses]string{
		"running", "runnable", "syscall",
		"chan_send", "chan_receive", "select", "mutex", "rwmutex", "waitgroup", "cond", "once",
		"network", "sleep", "gc_assist", "gc_wait", "preempted", "coroutine", "forever", "other", "gone",
	}[c]
}

// Blocked tells whether the cause is a wait for something to happen.
func (c Cause) Blocked() bool { return c >= ChanSend && c < NumCauses }

// Parts is a span of time by cause.
type Parts [NumCauses]time.Duration

// Sum returns the whole.
func (p *Parts) Sum() (d time.Duration) {
	for _, part := range p {
		d += part
	}
	return d
}

// Blocked returns the time spent waiting for something to happen.
func (p *Parts) Blocked() (d time.Duration) {
	for _, part := range p[ChanSend:] {
		d += part
	}
	return d
}

// All iterates over the parts that are not zero, by cause.
func (p *Parts) All() iter.Seq2[Cause, time.Duration] {
	return func(yield func(Cause, time.Duration) bool) {
		for c, d := range p {
			if d != 0 && !yield(Cause(c), d) {
				return
			}
		}
	}
}

func (p *Parts) add(q *Parts) {
	for c := range p {
		p[c] += q[c]
	}
}

// minus returns p without q.
func (p *Parts) minus(q *Parts) (d Parts) {
	for c := range p {
		d[c] = p[c] - q[c]
	}
	return d
}

// causeOf returns the cause of what a goroutine does from this transition on.
func (a *analyzer) causeOf(to trace.GoState, t *trace.StateTransition) Cause {
	switch to {
	case trace.GoRunning:
		return Running
	case trace.GoRunnable:
		return Runnable
	case trace.GoSyscall:
		return Syscall
	case trace.GoWaiting:
		if t.Reason == "sync" {
			return a.places.sync(t.Stack)
		}
		return waitOf(t.Reason)
	default:
		return Other
	}
}

// waitOf knows the reasons of the runtime: traceBlockReasonStrings in
// runtime/traceruntime.go.
func waitOf(reason string) Cause {
	switch reason {
	case "chan send":
		return ChanSend
	case "chan receive":
		return ChanReceive
	case "select":
		return Select
	case "sync.(*Cond).Wait":
		return Cond
	case "network":
		return Network
	case "sleep":
		return Sleep
	case "GC mark assist wait for work":
		return Assist
	case "wait until GC ends", "GC weak to strong wait":
		return GCWait
	case "preempted":
		return Preempted
	case "coroutine":
		return Coroutine
	case "forever":
		return Forever
	default:
		return Other
	}
}

// syncOf tells what "sync" waits for by a frame of its stack.
func syncOf(function string) (c Cause, ok bool) {
	for _, s := range []struct {
		prefix string
		cause  Cause
	}{
		{"internal/sync.(*Mutex).", Mutex},
		{"sync.(*Mutex).", Mutex},
		{"sync.(*RWMutex).", RWMutex},
		{"sync.(*Once).", Once},
		{"sync.(*WaitGroup).Wait", WaitGroup}, // not Go, in which goroutines begin
	} {
		if strings.HasPrefix(function, s.prefix) {
			return s.cause, true
		}
	}
	return Other, false
}
