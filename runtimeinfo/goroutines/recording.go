// SPDX-License-Identifier: Apache-2.0

package goroutines

import (
	"context"
	"time"
)

// Recording is the result of an execution trace of a few seconds: for each
// goroutine of the process, whether it ran, what woke it and where it was
// created. It is read-only. Goroutines share the slices that hold their stacks.
type Recording struct {
	// Start is the time of the first event. It precedes the call of Record if the
	// recorder was on already. Zero means unknown.
	Start time.Time
	// Duration is the time from the first event to the last. It is shorter than
	// requested if the events would not fit or would cost too much.
	Duration time.Duration
	// Events is the number of events, Bytes the size of the trace.
	Events, Bytes int
	// CPU estimates the CPU time that the recording took: 80 ns for each event,
	// 1 µs each time the tracer lists a goroutine, which it does once a second,
	// and the measured time of starting the recording and of reading it.
	CPU time.Duration
	// Goroutines holds the goroutines that exist at the end, except the runtime's
	// own, in ascending order of ID.
	Goroutines []RecordedGoroutine
}

// RecordedGoroutine describes one goroutine of a [Recording].
type RecordedGoroutine struct {
	// ID is the runtime's id of the goroutine. No two goroutines of a process
	// have the same one, even if the first has ended.
	ID uint64
	// Stack is where the goroutine waits at the end of the recording, leaf first,
	// with the runtime's frames. For a goroutine that is running or runnable then,
	// it is where it waited last, or where it was preempted if it did not wait.
	// Empty means unknown. Equal stacks share one slice, so that &Stack[0]
	// identifies a stack within a Recording.
	Stack []Site
	// Created reports whether the goroutine was created in the recording.
	Created bool
	// Ran reports whether the goroutine ran in the recording; if it was created
	// in it, whether it ran again after its first wait. A goroutine that was in
	// one system call all the time did not run. Stack scans by the garbage
	// collector do not count as running, nor waits for the collector as waits.
	Ran bool
	// Wakeup is what ended the goroutine's first wait in the recording, which
	// may have begun before the recording did.
	Wakeup Wakeup
	// Waker is the id of the goroutine that ended that wait; 0 unless Wakeup is
	// WakeupGoroutine.
	Waker uint64
	// Creator is the id of the goroutine whose go statement created this one; 0
	// for one that time.AfterFunc started. Set if Created.
	Creator uint64
	// Creation is the stack of that go statement, leaf first, followed by the
	// stacks of the go statements that created its creator, and so on, as far as
	// those were executed in the recording too: at most 8 go statements and 128
	// frames. It does not matter whether the creators have ended. Set if Created.
	Creation []Site
}

// Key returns the group that the goroutine belongs to, the same as in a survey, but
// with "[...]" for type arguments. ok is false where the stack is unknown. It
// allocates: call it once for each distinct stack of a recording.
func (g *RecordedGoroutine) Key() (k Key, ok bool) {
	if len(g.Stack) == 0 {
		return Key{}, false
	}
	functions := make([]string, len(g.Stack))
	for i := range g.Stack {
		functions[i] = g.Stack[i].Function
	}
	return keyOf(functions, func(i int) Site { return g.Stack[i] }), true
}

// Wakeup is what made a waiting goroutine runnable.
type Wakeup uint8

// The wakeups.
const (
	// WakeupNone means that nothing woke the goroutine: it did not wait, or still
	// waits.
	WakeupNone Wakeup = iota
	// WakeupTimer means that a timer woke it: from time.Sleep, through the channel
	// of a Timer or Ticker, or through a function of time.AfterFunc that had not
	// waited before. Deadlines of contexts are such functions.
	WakeupTimer
	// WakeupNetwork means that the network poller woke it: a connection or file
	// became ready, or its deadline passed.
	WakeupNetwork
	// WakeupGoroutine means that another goroutine woke it, through a channel, a
	// lock or the like, or by closing the connection that it waited for.
	WakeupGoroutine
	// WakeupSyscall means that it was in a system call or in C code when the
	// recording began, and returned.
	WakeupSyscall
	// WakeupOther means that the cause is unknown.
	WakeupOther
)

// String returns the wakeup in one lower-case word.
func (w Wakeup) String() string {
	switch w {
	case WakeupNone:
		return "none"
	case WakeupTimer:
		return "timer"
	case WakeupNetwork:
		return "network"
	case WakeupGoroutine:
		return "goroutine"
	case WakeupSyscall:
		return "syscall"
	case WakeupOther:
		return "other"
	default:
		return "unknown"
	}
}

// Recorder makes recordings. An exectrace.Recorder is one.
type Recorder interface {
	// Record records for the given length and returns the result. It records for
	// a shorter time if the full length would cost too much; see
	// [Recording.Duration]. An error means that there is no recording now, for
	// example because another flight recorder is active or there are too many
	// goroutines. When ctx is done, Record returns an error soon after.
	Record(ctx context.Context, length time.Duration) (*Recording, error)
}
