package exectrace

import (
	"bytes"
	"context"
	"strings"

	"golang.org/x/exp/trace"

	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines"
)

var _ goroutines.RollCaller = (*Recorder)(nil)

// RollCall returns every goroutine but the runtime's own, with the stack that it
// waits at. It starts the flight recorder, takes what it has and stops it; the
// world stands still for less than 0.2 ms, whatever the number of goroutines. It
// costs about 3 µs of CPU time for each (BenchmarkRollCall). While the recorder is
// on anyway, the roll is in what it has.
//
// The error is [ErrOff], [ErrBusy], [ErrTooMany], [ErrFormat], or that of ctx.
func (r *Recorder) RollCall(ctx context.Context) ([]goroutines.Member, error) {
	if r.config.NoRollCall {
		return nil, ErrOff
	}
	if err := r.take(ctx); err != nil {
		return nil, err
	}
	defer r.release()
	members, err := r.rollCall(ctx)
	return members, r.settle(err)
}

func (r *Recorder) rollCall(ctx context.Context) ([]goroutines.Member, error) {
	recorded, err := r.record(ctx)
	if err != nil {
		return nil, err
	}
	return readRoll(ctx, recorded, r.config.MaxEvents)
}

func readRoll(ctx context.Context, recorded []byte, most int) ([]goroutines.Member, error) {
	l := roll{at: map[trace.GoID]trace.Stack{}}
	if err := readEvents(ctx, bytes.NewReader(recorded), most, l.event); err != nil {
		return nil, err
	}
	return l.members(), nil
}

// roll is who is there, in the making.
type roll struct {
	at map[trace.GoID]trace.Stack // NoStack: running, so unknown
}

func (l *roll) event(e *trace.Event) error {
	if e.Kind() != trace.EventStateTransition {
		return nil
	}
	t := e.StateTransition()
	if t.Resource.Kind != trace.ResourceGoroutine {
		return nil
	}
	id := t.Resource.Goroutine()
	switch _, to := t.Goroutine(); {
	case to == trace.GoNotExist:
		delete(l.at, id)
	case t.Stack != trace.NoStack:
		l.at[id] = t.Stack
	case to == trace.GoRunning:
		l.at[id] = trace.NoStack
	default: // ready to run: still where it waited
		if _, ok := l.at[id]; !ok {
			l.at[id] = trace.NoStack
		}
	}
	return nil
}

func (l *roll) members() []goroutines.Member {
	stacks := map[trace.Stack][]goroutines.Site{} // most goroutines share one
	members := make([]goroutines.Member, 0, len(l.at))
	for id, s := range l.at {
		stack, ok := stacks[s]
		if !ok {
			stack = sites(s)
			stacks[s] = stack
		}
		if !isSystem(stack) {
			members = append(members, goroutines.Member{ID: uint64(id), Stack: stack})
		}
	}
	return members
}

// sites returns the frames of a stack, leaf first.
func sites(s trace.Stack) (stack []goroutines.Site) {
	for f := range s.Frames() {
		if f.Func == "runtime.goexit" { // below the entry; profiles leave it out
			continue
		}
		stack = append(stack, goroutines.Site{Function: f.Func, File: f.File, Line: int(f.Line)})
	}
	return stack
}

// isSystem tells a goroutine of the runtime's own, such as a worker of the
// collector: it began in the runtime.
func isSystem(stack []goroutines.Site) bool {
	if len(stack) == 0 {
		return false
	}
	entry := stack[len(stack)-1].Function
	return strings.HasPrefix(entry, "runtime.") && entry != "runtime.main"
}
