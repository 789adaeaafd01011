// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime/debug"
	"time"

	"github.com/gmpulse/gmpulse/exporters"
)

// ErrTimeout is the cause of a context that [Call] ended.
var ErrTimeout = errors.New("timeout")

// ErrGoexit is the value of the [PanicError] of foreign code that ended its goroutine
// with runtime.Goexit, as testing.T.FailNow does.
var ErrGoexit = errors.New("runtime.Goexit was called")

// PanicError is a panic of foreign code, or a call of runtime.Goexit.
type PanicError struct {
	Value any // not called again: its methods are foreign code
	Stack []byte
	text  string
}

// Error names the value of the panic.
func (e *PanicError) Error() string { return e.text }

// Panicked returns the panic that an error of this package stands for, nil if it is none.
func Panicked(err error) *PanicError {
	p, _ := errors.AsType[*PanicError](err)
	return p
}

// Call calls f with a context that ends after timeout. See [Do] for what it protects
// against. Code that ignores its context keeps Call waiting.
func Call(ctx context.Context, timeout time.Duration, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, ErrTimeout)
	defer cancel()
	err := Do(func() error { return f(ctx) })
	if err != nil && errors.Is(context.Cause(ctx), ErrTimeout) {
		err = fmt.Errorf("%w after %v: %w", ErrTimeout, timeout, err)
	}
	return err
}

// Do calls f, which is foreign code, on a goroutine of its own and waits for it. A
// panic and runtime.Goexit become a [PanicError]. Any other error is replaced by a
// copy without foreign methods, so that the caller may print and compare it: the copy
// has the text, and matches the same of [exporters.RejectedError],
// [exporters.ErrShutdown], context.Canceled and context.DeadlineExceeded.
//
// The goroutine costs about a microsecond. Its profiler labels are the caller's.
func Do(f func() error) error {
	c := begin(f)
	<-c.done
	return c.err
}

// IsNil reports whether v is nil, or an interface that holds a nil pointer, map,
// function or the like.
func IsNil(v any) bool {
	if v == nil {
		return true
	}
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Func, reflect.Slice, reflect.Chan:
		return r.IsNil()
	default:
		return false
	}
}

// call is one call of foreign code.
type call struct {
	done chan struct{} // closed when it has ended
	err  error         // set before
}

// begin calls f on a goroutine of its own.
func begin(f func() error) *call {
	c := &call{done: make(chan struct{})}
	go c.run(f)
	return c
}

func (c *call) run(f func() error) {
	defer close(c.done)
	returned := false
	defer func() {
		if returned {
			return
		}
		p := recover()
		if p == nil {
			p = ErrGoexit
		}
		e := &PanicError{Value: p, Stack: debug.Stack(), text: "panic"}
		c.err = e // if the text cannot be had, the rest stands
		e.text = short(fmt.Sprintf("panic: %v", p))
	}()
	c.err = plain(f())
	returned = true
}

// plain returns a copy of a foreign error without foreign methods.
func plain(err error) error {
	if err == nil {
		return nil
	}
	f := &failure{text: short(err.Error())}
	var rejected *exporters.RejectedError
	if errors.As(err, &rejected) && rejected != nil {
		f.kinds = append(f.kinds, &exporters.RejectedError{Events: rejected.Events, Snapshot: rejected.Snapshot, Err: errors.New(f.text)})
	}
	for _, kind := range []error{context.Canceled, context.DeadlineExceeded, exporters.ErrShutdown} {
		if errors.Is(err, kind) {
			f.kinds = append(f.kinds, kind)
		}
	}
	return f
}

// failure is an error without foreign methods.
type failure struct {
	text  string
	kinds []error
}

// Error returns the text that the foreign error had.
func (f *failure) Error() string { return f.text }

// Unwrap returns the errors that the foreign error matched.
func (f *failure) Unwrap() []error { return f.kinds }

// short bounds a text that is kept, logged and served.
func short(text string) string {
	const most = 2048
	if len(text) > most {
		return text[:most] + "…"
	}
	return text
}
