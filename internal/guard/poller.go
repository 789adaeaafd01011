// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"errors"
	"sync"
	"time"
)

// ErrPending is the error of [Poller.Poll] while a call has not returned.
var ErrPending = errors.New("the call has not returned in time")

// Poller repeatedly gets a value from foreign code, with a bounded wait. The zero value is
// ready to use. Its methods may be called concurrently.
type Poller[T any] struct {
	pending
	value *T // result of the running call
}

// Poll calls f on a new goroutine and returns its result, or [ErrPending] after wait. While
// a call is running, Poll returns ErrPending at once. The next Poll after the call returned
// returns its result and does not call f. So at most one call is running, and no result is
// lost. A panic or runtime.Goexit in f is returned as a [PanicError].
func (p *Poller[T]) Poll(wait time.Duration, f func() T) (v T, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.call == nil {
		value := new(T)
		p.value = value
		p.call = begin(func() error {
			*value = f()
			return nil
		})
		p.call.await(wait)
	}
	if err = p.result(); err == nil {
		v = *p.value
	}
	return v, err
}

// pending is the part of a Poller that does not depend on the type of its value.
type pending struct {
	mu   sync.Mutex
	call *call // running, or nil
}

// result returns the error of the call if it has ended, and ErrPending otherwise. The
// caller holds mu.
func (p *pending) result() error {
	select {
	case <-p.call.done:
		err := p.call.err
		p.call = nil
		return err
	default:
		return ErrPending
	}
}

// Wait waits for the end of a running call.
func (p *pending) Wait() {
	p.mu.Lock()
	c := p.call
	p.mu.Unlock()
	if c != nil {
		<-c.done
	}
}

// await waits for the end of the call, at most d.
func (c *call) await(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-c.done:
	case <-t.C:
	}
}
