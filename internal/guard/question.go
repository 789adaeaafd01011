// SPDX-License-Identifier: Apache-2.0

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
	asking
	value *T // of the call that asking has under way
}

// Ask calls f on a goroutine of its own and returns what that returned, or [ErrLate]
// after wait. A late value is what a later Ask returns instead of calling f again, so
// that at most one call is under way and no value is lost. While a call is late, Ask
// returns ErrLate at once. A panic and runtime.Goexit are a [PanicError].
func (q *Question[T]) Ask(wait time.Duration, f func() T) (v T, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.pending == nil {
		value := new(T)
		q.value = value
		q.pending = begin(func() error {
			*value = f()
			return nil
		})
		q.pending.await(wait)
	}
	if err = q.answer(); err == nil {
		v = *q.value
	}
	return v, err
}

// asking is what all questions have in common.
type asking struct {
	mu      sync.Mutex
	pending *call // that was late, nil if none is
}

// answer ends the pending call, or returns ErrLate. mu is held.
func (a *asking) answer() error {
	select {
	case <-a.pending.done:
		err := a.pending.err
		a.pending = nil
		return err
	default:
		return ErrLate
	}
}

// Wait returns when the call that was late has ended, if there was one.
func (a *asking) Wait() {
	a.mu.Lock()
	c := a.pending
	a.mu.Unlock()
	if c != nil {
		<-c.done
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
