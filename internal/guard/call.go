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

// ErrTimeout is the cause of a context that ended because the timeout of [Call] expired.
var ErrTimeout = errors.New("timeout")

// ErrGoexit is the value of a [PanicError] if foreign code called runtime.Goexit, as
// testing.T.FailNow does.
var ErrGoexit = errors.New("runtime.Goexit was called")

// PanicError is a panic of foreign code, or a call of runtime.Goexit.
type PanicError struct {
	Value any // its methods are foreign code and must not be called
	Stack []byte
	text  string
}

// Error returns a text with the value of the panic.
func (e *PanicError) Error() string { return e.text }

// Panicked returns the [PanicError] in err, or nil if there is none.
func Panicked(err error) *PanicError {
	p, _ := errors.AsType[*PanicError](err)
	return p
}

// Call is [Do] with a context that ends after timeout. It waits for f even if f ignores its
// context.
func Call(ctx context.Context, timeout time.Duration, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, ErrTimeout)
	defer cancel()
	return inTime(ctx, timeout, Do(func() error { return f(ctx) }))
}

// Do calls f, which is foreign code, on a new goroutine and waits for it. It returns a
// panic or a call of runtime.Goexit as a [PanicError]. It replaces any other error with a
// copy that has no foreign methods, so that the caller can safely print and compare it.
// The copy has the same text, and matches [exporters.RejectedError],
// [exporters.ErrShutdown], context.Canceled and context.DeadlineExceeded if the original
// does.
//
// The goroutine costs about 1 µs. It inherits the caller's profiler labels.
func Do(f func() error) error {
	c := begin(f)
	<-c.done
	return c.err
}

// Go calls f, which is foreign code, on a new goroutine, and then calls ended on that goroutine
// with the error that [Do] would return. It does not wait.
func Go(f func() error, ended func(error)) {
	c := &call{done: make(chan struct{})}
	go func() {
		defer func() { ended(c.err) }() // runtime.Goexit in f does not skip it
		c.run(f)
	}()
}

// Here is [Call] on the calling goroutine, which [Go] must have started: a panic of f or a call of
// runtime.Goexit ends that goroutine. It costs no switch between goroutines, which wake a sleeping
// processor.
func Here(ctx context.Context, timeout time.Duration, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, ErrTimeout)
	defer cancel()
	return inTime(ctx, timeout, plain(f(ctx)))
}

// inTime adds ErrTimeout to an error if the timeout of ctx has passed.
func inTime(ctx context.Context, timeout time.Duration, err error) error {
	if err != nil && errors.Is(context.Cause(ctx), ErrTimeout) {
		return fmt.Errorf("%w after %v: %w", ErrTimeout, timeout, err)
	}
	return err
}

// IsNil reports whether v is nil or holds a nil pointer, map, function, slice or channel.
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

// call is a running call of foreign code.
type call struct {
	done chan struct{} // closed when the call ends
	err  error         // set before done is closed
}

// begin calls f on a new goroutine.
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
		c.err = e // stays if formatting the value panics
		e.text = short("panic: " + panicText(p))
	}()
	c.err = plain(f())
	returned = true
}

// panicText returns the text of an error, of a value with a String method, or of a value of
// a basic type, and otherwise only the type. Package fmt would follow a value that contains
// itself until the stack overflows, which ends the process.
func panicText(v any) (text string) {
	defer func() {
		if recover() != nil {
			text = fmt.Sprintf("a value of type %T, whose method panicked", v)
		}
	}()
	switch v := v.(type) {
	case error:
		return v.Error()
	case fmt.Stringer:
		return v.String()
	}
	switch k := reflect.ValueOf(v).Kind(); {
	case k == reflect.String, k >= reflect.Bool && k <= reflect.Complex128:
		return fmt.Sprint(v)
	default:
		return fmt.Sprintf("a value of type %T", v)
	}
}

// plain returns a copy of a foreign error without foreign methods.
func plain(err error) error {
	if err == nil {
		return nil
	}
	f := &failure{text: short(err.Error())}
	tree := tree(err)
	if rejected := findRejected(tree); rejected != nil {
		f.kinds = append(f.kinds, &exporters.RejectedError{Events: rejected.Events, Snapshot: rejected.Snapshot, Err: errors.New(f.text)})
	}
	for _, kind := range []error{context.Canceled, context.DeadlineExceeded, exporters.ErrShutdown} {
		if contains(tree, kind) {
			f.kinds = append(f.kinds, kind)
		}
	}
	return f
}

// tree returns err and the errors that it wraps, parents first. It stops after 100, because
// an error may wrap itself. errors.Is and errors.As would not return then, or overflow the
// stack, which ends the process.
func tree(err error) []error {
	const most = 100
	all := []error{err}
	for i := 0; i < len(all) && len(all) < most; i++ {
		switch e := all[i].(type) { //nolint:errorlint // as in package errors
		case interface{ Unwrap() error }:
			if next := e.Unwrap(); next != nil {
				all = append(all, next)
			}
		case interface{ Unwrap() []error }:
			for _, next := range e.Unwrap() {
				if next != nil && len(all) < most {
					all = append(all, next)
				}
			}
		}
	}
	return all
}

// findRejected is errors.As for the errors of a tree.
func findRejected(tree []error) (found *exporters.RejectedError) {
	for _, err := range tree {
		if r, ok := err.(*exporters.RejectedError); ok && r != nil { //nolint:errorlint // as in package errors
			return r
		}
		if e, ok := err.(interface{ As(target any) bool }); ok && e.As(&found) && found != nil {
			return found
		}
	}
	return nil
}

// contains is errors.Is for the errors of a tree.
func contains(tree []error, kind error) bool {
	for _, err := range tree {
		if err == kind { //nolint:errorlint // as in package errors
			return true
		}
		if e, ok := err.(interface{ Is(target error) bool }); ok && e.Is(kind) {
			return true
		}
	}
	return false
}

// failure is a copy of a foreign error.
type failure struct {
	text  string
	kinds []error
}

// Error returns the text of the foreign error.
func (f *failure) Error() string { return f.text }

// Unwrap returns the errors that the foreign error matches.
func (f *failure) Unwrap() []error { return f.kinds }

// short cuts a text that is stored, logged and served.
func short(text string) string {
	const most = 2048
	if len(text) > most {
		return text[:most] + "…"
	}
	return text
}
