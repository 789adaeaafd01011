package goroutines

import "context"

// Member is one goroutine of a roll call.
type Member struct {
	// ID is the runtime's own, which no later goroutine gets again.
	ID uint64
	// Stack has the frames, leaf first, the runtime's among them. Empty is unknown:
	// a goroutine that was running.
	Stack []Site
}

// Key returns the group that the goroutine belongs to, the same as in a survey, save
// that a RollCaller may know no more than "[...]" of type arguments; ok is false where
// the stack is unknown.
func (m *Member) Key() (k Key, ok bool) {
	return stackKey(m.Stack)
}

// stackKey returns the key of a stack, leaf first; ok is false for an empty one.
func stackKey(stack []Site) (k Key, ok bool) {
	if len(stack) == 0 {
		return Key{}, false
	}
	functions := make([]string, len(stack))
	for i := range stack {
		functions[i] = stack[i].Function
	}
	return keyOf(functions, func(i int) Site { return stack[i] }), true
}

// RollCaller tells the goroutines of the process apart, one by one, which no
// profile does. An exectrace.Recorder does, by a flight recording of a moment.
type RollCaller interface {
	// RollCall returns every goroutine that it can tell of. An error means that
	// it could not be done now: too many goroutines, say, or a recorder in use. It
	// must be back soon after ctx is done.
	RollCall(ctx context.Context) ([]Member, error)
}
