// SPDX-License-Identifier: Apache-2.0

package guard_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/internal/guard"
)

// hostile is an error whose methods call the functions of a test.
type hostile struct {
	text   func() string
	is     func() bool
	as     func() bool
	unwrap func() error
}

func (h *hostile) Error() string { return h.text() }
func (h *hostile) Is(error) bool { return h.is() }
func (h *hostile) As(any) bool   { return h.as() }
func (h *hostile) Unwrap() error { return h.unwrap() }

// TestErrorsWithPanickingMethodsAreCounted returns errors whose methods panic or call
// runtime.Goexit, at the first call or a later one.
func TestErrorsWithPanickingMethodsAreCounted(t *testing.T) {
	good := func() *hostile {
		return &hostile{
			text:   func() string { return "down" },
			is:     func() bool { return false },
			as:     func() bool { return false },
			unwrap: func() error { return nil },
		}
	}
	ends := map[string]func(){
		"panics":        func() { panic("oh") },
		"panics on nil": func() { _ = find("nothing").text },
		"goexits":       runtime.Goexit,
	}
	methods := map[string]func(h *hostile, end func()){
		"Error":  func(h *hostile, end func()) { h.text = func() string { end(); return "down" } },
		"Is":     func(h *hostile, end func()) { h.is = func() bool { end(); return true } },
		"As":     func(h *hostile, end func()) { h.as = func() bool { end(); return true } },
		"Unwrap": func(h *hostile, end func()) { h.unwrap = func() error { end(); return nil } },
	}
	for method, replace := range methods {
		for how, end := range ends {
			for _, after := range []int{0, 1, 2, 5} {
				t.Run(fmt.Sprintf("%s %s after %d calls", method, how, after), func(t *testing.T) {
					h, calls := good(), 0
					replace(h, func() {
						if calls++; calls > after {
							end()
						}
					})
					err := guard.Call(t.Context(), time.Hour, func(context.Context) error { return h })
					use(t, err)
				})
			}
		}
	}
}

// use does with an error what the agent does with it.
func use(t *testing.T, err error) {
	t.Helper()
	var s exporters.Stats
	if err == nil || guard.CountDelivery(&s, 3, err) {
		t.Fatalf("counted as delivered: %v", err)
	}
	guard.CountFailure(&s, err)
	var log bytes.Buffer
	guard.LogChange(slog.New(slog.NewTextHandler(&log, nil)), exporters.StateOK, err)
	for range 10 {
		_ = err.Error()
		_ = errors.Is(err, context.Canceled)
	}
	if s.Errors+s.Panics != 1 || s.LastError == "" {
		t.Errorf("%+v", s)
	}
}

// TestPanicValuesThatCannotBePrinted panics with values whose methods panic or return long
// texts.
func TestPanicValuesThatCannotBePrinted(t *testing.T) {
	for name, value := range map[string]any{
		"panics":  &hostile{text: func() string { panic("again") }},
		"goexits": &hostile{text: func() string { runtime.Goexit(); return "" }},
		"long":    strings.Repeat("x", 1<<20),
	} {
		t.Run(name, func(t *testing.T) {
			err := guard.Do(func() error { panic(value) })
			use(t, err)
			if _, ok := errors.AsType[*guard.PanicError](err); !ok || len(err.Error()) > 4096 {
				t.Errorf("%T of %d bytes", err, len(err.Error()))
			}
		})
	}
}

func TestCopiedErrorsMatchTheSameErrors(t *testing.T) {
	rejected := &exporters.RejectedError{Events: 2, Snapshot: true, Err: io.EOF}
	err := guard.Do(func() error { return fmt.Errorf("export: %w", rejected) })
	if got, ok := errors.AsType[*exporters.RejectedError](err); !ok || got.Events != 2 || !got.Snapshot || err.Error() != "export: EOF" {
		t.Errorf("%v", err)
	}
	for _, kind := range []error{context.Canceled, context.DeadlineExceeded, exporters.ErrShutdown} {
		if err := guard.Do(func() error { return fmt.Errorf("no: %w", kind) }); !errors.Is(err, kind) || errors.Is(err, io.EOF) {
			t.Errorf("%v", err)
		}
	}
	if err := guard.Do(func() error { return errors.New(strings.Repeat("x", 1<<20)) }); len(err.Error()) > 4096 {
		t.Errorf("a text of %d bytes", len(err.Error()))
	}
}

// find returns the hostile error of a name, nil if there is none.
func find(name string) *hostile { return map[string]*hostile{}[name] }

func isGoexit(p *guard.PanicError) bool {
	err, ok := p.Value.(error)
	return ok && errors.Is(err, guard.ErrGoexit)
}

func TestCallReturnsGoexitAsAnError(t *testing.T) {
	err := guard.Call(t.Context(), time.Hour, func(context.Context) error { runtime.Goexit(); return nil })
	p, ok := errors.AsType[*guard.PanicError](err)
	if !ok || !isGoexit(p) || !bytes.Contains(p.Stack, []byte("hostile_test.go")) {
		t.Errorf("%v", err)
	}
}

func TestPollerRunsOneCallAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const wait = 10 * time.Millisecond
		var q guard.Poller[int]
		var calls atomic.Int64
		if v, err := q.Poll(wait, func() int { calls.Add(1); return 7 }); v != 7 || err != nil {
			t.Errorf("%d, %v", v, err)
		}
		begin := time.Now()
		for range 5 {
			_, err := q.Poll(wait, func() int { calls.Add(1); time.Sleep(time.Minute); return 8 })
			if !errors.Is(err, guard.ErrPending) {
				t.Errorf("while the call hangs: %v", err)
			}
		}
		if took := time.Since(begin); took != wait || calls.Load() != 2 {
			t.Errorf("five polls took %v and %d calls, want one wait of %v", took, calls.Load(), wait)
		}
		q.Wait()
		if v, err := q.Poll(wait, func() int { calls.Add(1); return 9 }); v != 8 || err != nil || calls.Load() != 2 {
			t.Errorf("the late result: %d, %v after %d calls", v, err, calls.Load())
		}
		for name, f := range map[string]func() int{"panics": func() int { panic("oh") }, "goexits": func() int { runtime.Goexit(); return 0 }} {
			_, err := q.Poll(wait, f)
			if _, ok := errors.AsType[*guard.PanicError](err); !ok {
				t.Errorf("%s: %v", name, err)
			}
		}
		if v, err := q.Poll(wait, func() int { return 10 }); v != 10 || err != nil {
			t.Errorf("afterwards: %d, %v", v, err)
		}
		q.Wait() // no call is running
	})
}

func TestIsNilSeesNilInsideInterfaces(t *testing.T) {
	var p *hostile
	for name, test := range map[string]struct {
		v    any
		want bool
	}{
		"nothing": {nil, true}, "nil pointer": {p, true}, "nil function": {exporters.Func(nil), true},
		"nil map": {map[string]int(nil), true}, "pointer": {&hostile{}, false}, "struct": {struct{}{}, false},
	} {
		if got := guard.IsNil(test.v); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// hangs is a log handler whose methods block until release is closed.
type hangs struct {
	slog.Handler
	release chan struct{}
}

func (h hangs) Handle(ctx context.Context, r slog.Record) error {
	<-h.release
	return h.Handler.Handle(ctx, r)
}

func (h hangs) WithGroup(string) slog.Handler {
	<-h.release
	return h
}

// TestLogHandlerThatHangsDelaysOnce checks that the next line has the number of dropped
// lines.
func TestLogHandlerThatHangsDelaysOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		release := make(chan struct{})
		l := guard.Logger(slog.New(hangs{slog.NewTextHandler(&b, nil), release}))
		begin := time.Now()
		for range 10 {
			l.WithGroup("g").Error("down")
		}
		if took := time.Since(begin); took != 100*time.Millisecond {
			t.Errorf("ten lines took %v", took)
		}
		close(release)
		synctest.Wait()
		l.Error("first afterwards")
		l.Error("second afterwards")
		lines := strings.Split(strings.TrimSpace(b.String()), "\n")
		if len(lines) != 2 || !strings.Contains(lines[0], "lines_lost=10") || strings.Contains(lines[1], "lines_lost") {
			t.Errorf("log:\n%s", b.String())
		}
	})
}

// exits is a log handler that calls runtime.Goexit.
type exits struct{ slog.Handler }

func (exits) Handle(context.Context, slog.Record) error { runtime.Goexit(); return nil }

func TestLogHandlerThatCallsGoexit(t *testing.T) {
	l := guard.Logger(slog.New(exits{slog.DiscardHandler}))
	err := l.Handler().Handle(t.Context(), slog.Record{})
	if p, ok := errors.AsType[*guard.PanicError](err); !ok || !isGoexit(p) {
		t.Errorf("%v", err)
	}
}
