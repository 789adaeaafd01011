package goroutines

import (
	"context"
	"time"
)

// Recording is what an execution trace of a few seconds tells of the goroutines
// of the process: which of them ran, what woke them, and who created the new
// ones. It is read-only; its stacks are shared between goroutines.
type Recording struct {
	// Start is the time of the first event. It may precede the call of Record
	// where the recorder was on already. Zero: the trace does not tell.
	Start time.Time
	// Duration is the time from the first event to the last. It is shorter than
	// asked for where the events would not fit or would cost too much.
	Duration time.Duration
	// Events is the number of events, Bytes the size of the trace.
	Events, Bytes int
	// CPU is the estimated cost of the recording to the process: 80 ns for each
	// event, 1 µs for each goroutine that the tracer lists once a second, and the
	// CPU time of the caller's thread at the begin and for the reading.
	CPU time.Duration
	// Goroutines are those that exist at the end, without the runtime's own, in
	// ascending order of ID.
	Goroutines []RecordedGoroutine
}

// RecordedGoroutine is what a [Recording] tells of one goroutine.
type RecordedGoroutine struct {
	// ID is the runtime's own. The runtime does not use an id twice.
	ID uint64
	// Stack is where the goroutine waits at the end of the recording, leaf first,
	// with the runtime's frames. For a goroutine that is running or runnable then,
	// it is where it waited last. Empty: unknown. Many goroutines share one slice:
	// &Stack[0] identifies the stack within a Recording.
	Stack []Site
	// Created reports whether the goroutine was created in the recording.
	Created bool
	// Ran reports whether the goroutine ran in the recording; for a created one,
	// whether it ran again after its first wait. What the runtime does to a
	// waiting goroutine, such as a scan of its stack, does not count, and neither
	// does the end of a wait for the garbage collector.
	Ran bool
	// Wakeup is what ended the first wait of the goroutine in the recording.
	Wakeup Wakeup
	// Creator is the id of the goroutine whose go statement created this one; 0
	// for a function that time.AfterFunc started. Created only.
	Creator uint64
	// Creation is the stack of that go statement, leaf first, followed by the
	// stacks of the go statements that created its creator, and so on, as far as
	// those were executed in the recording too: at most 8 go statements and 128
	// frames. Creators that have ended count. Created only.
	Creation []Site
}

// Key returns the group that the goroutine belongs to; see [Member.Key]. It
// allocates: call it once for each distinct stack of a recording.
func (g *RecordedGoroutine) Key() (k Key, ok bool) {
	return stackKey(g.Stack)
}

// Wakeup is what made a waiting goroutine runnable.
type Wakeup uint8

// The wakeups.
const (
	// WakeupNone: the goroutine did not wait, or nothing woke it.
	WakeupNone Wakeup = iota
	// WakeupTimer: a timer woke it, from time.Sleep or by a channel of package
	// time, or a function of time.AfterFunc did before that function first waited.
	// The deadline of a context is such a function.
	WakeupTimer
	// WakeupNetwork: the poller woke it, because a connection or file became
	// ready or its deadline had passed.
	WakeupNetwork
	// WakeupGoroutine: another goroutine woke it, by a channel, a lock, or by
	// closing the file or connection that it waited for.
	WakeupGoroutine
	// WakeupSyscall: it was in a system call or in C code when the recording
	// began, and returned from there.
	WakeupSyscall
	// WakeupOther: something else, or it is not known what.
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
	// Record records for so long and returns what the recording tells. It may
	// record for a shorter time where the full one would cost too much; see
	// [Recording.Duration]. An error means that there is no recording now:
	// somebody else holds the flight recorder, say, or there are too many
	// goroutines. It returns soon after ctx is done, then with an error.
	Record(ctx context.Context, length time.Duration) (*Recording, error)
}
