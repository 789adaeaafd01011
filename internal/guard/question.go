package guard

import (
	"errors"
	"sync"
	"time"
)

// ErrLate is the error of [Question.Ask] when there is no answer yet.
var ErrLate = errors.New("the call has not returned in time")

// Question asks foreign code for a value again and again, and never waits long for
// it. The zero value is ready. Its methods may be called from any goroutine.
type Question[T any] struct {
	mu      sync.Mutex
	pending *answer[T] // of a call that was late, nil if none is
}

type answer[T any] struct {
	*call
	value T
}

// Ask calls f on a goroutine of its own and returns what that returned, or [ErrLate]
// after wait. A late value is what a later Ask returns instead of calling f again, so
// that at most one call is under way and no value is lost. While a call is late, Ask
// returns ErrLate at once. A panic and runtime.Goexit are a [PanicError].
func (q *Question[T]) Ask(wait time.Duration, f func() T) (T, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	a := q.pending
	if a == nil {
		a = &answer[T]{}
		a.call = begin(func() error {
			a.value = f()
			return nil
		})
		q.pending = a
		a.await(wait)
	}
	select {
	case <-a.done:
		q.pending = nil
		return a.value, a.err
	default:
		var none T
		return none, ErrLate
	}
}

// Wait returns when the call that was late has ended, if there was one.
func (q *Question[T]) Wait() {
	q.mu.Lock()
	a := q.pending
	q.mu.Unlock()
	if a != nil {
		<-a.done
	}
}

// await waits until the call has ended, but not longer than d.
func (c *call) await(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-c.done:
	case <-t.C:
	}
}
