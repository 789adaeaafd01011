// SPDX-License-Identifier: Apache-2.0

package goroutines

import "time"

// Recording is the state of all goroutines after an execution trace of a few seconds: whether
// each of them ran, what woke it and where it was created. It is read-only. Goroutines share
// the slices that hold their stacks.
type Recording struct {
	// Start is the time of the first event. It precedes the call of Record if the recorder
	// was already running. Zero means unknown.
	Start time.Time
	// Duration is the time from the first event to the last. It is shorter than requested
	// if the events would not fit or would cost too much.
	Duration time.Duration
	// Events is the number of events, Bytes the size of the trace.
	Events, Bytes int
	// CPU estimates the CPU time of the recording: 80 ns for each event, 1 µs each time the
	// tracer lists a goroutine, which it does once a second, and the measured time of
	// starting and reading.
	CPU time.Duration
	// Goroutines holds the goroutines that exist at the end, except the runtime's, in
	// ascending order of ID.
	Goroutines []RecordedGoroutine
}

// RecordedGoroutine is one goroutine of a [Recording].
type RecordedGoroutine struct {
	// ID is the runtime's id of the goroutine. The runtime never reuses an id.
	ID uint64
	// Stack is where the goroutine waits at the end of the recording, leaf first, including
	// frames of the runtime. For a goroutine that is running or runnable then, it is where it
	// waited last, or where it was preempted if it did not wait. Empty means unknown. Equal
	// stacks share one slice, so that &Stack[0] identifies a stack within a Recording.
	Stack []Site
	// Created reports whether the goroutine was created during the recording.
	Created bool
	// Ran reports whether the goroutine ran during the recording. For a created one, whether
	// it ran again after its first wait. A goroutine that was in one system call all the time
	// did not run. Stack scans by the garbage collector do not count as running, and waits for
	// the collector do not count as waits.
	Ran bool
	// Wakeup is what ended the first wait of the goroutine in the recording. The wait may have
	// begun earlier.
	Wakeup Wakeup
	// Waker is the id of the goroutine that ended that wait, 0 unless Wakeup is
	// WakeupGoroutine.
	Waker uint64
	// Creator is the id of the goroutine whose go statement created this one, or 0 if
	// time.AfterFunc started it. Set if Created.
	Creator uint64
	// Creation is the stack of that go statement, leaf first, followed by the stacks of the
	// go statements that created its creator, and so on, if they were executed during the
	// recording too: at most 8 go statements and 128 frames. Set if Created.
	Creation []Site
}

// Key returns the group of the goroutine, as in a survey except that type arguments are
// "[...]". ok is false if the stack is unknown. Key takes about 1 µs: call it once for each distinct
// stack of a recording.
func (g *RecordedGoroutine) Key() (k Key, ok bool) {
	if len(g.Stack) == 0 {
		return Key{}, false
	}
	return keyOf(g.Stack), true
}

// Wakeup is the cause that made a waiting goroutine runnable.
type Wakeup uint8

// The wakeups.
const (
	// WakeupNone means that nothing woke the goroutine: it did not wait, or still waits.
	WakeupNone Wakeup = iota
	// WakeupTimer means that a timer woke it: from time.Sleep, through the channel of a Timer
	// or Ticker, or through a function of time.AfterFunc that had not waited before. Deadlines
	// of contexts are such functions.
	WakeupTimer
	// WakeupNetwork means that the network poller woke it: a connection or file became ready,
	// or its deadline passed.
	WakeupNetwork
	// WakeupGoroutine means that another goroutine woke it, through a channel, a lock or the
	// like, or by closing the connection that it waited for.
	WakeupGoroutine
	// WakeupSyscall means that it was in a system call or in C code when the recording began,
	// and returned.
	WakeupSyscall
	// WakeupOther means that the cause is unknown.
	WakeupOther
)
