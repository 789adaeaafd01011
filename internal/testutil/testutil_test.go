// SPDX-License-Identifier: Apache-2.0

package testutil

import (
	"errors"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// recordingTB records the failure instead of ending the test.
type recordingTB struct {
	testing.TB
	failure any
}

func (r *recordingTB) Helper() {}

func (r *recordingTB) Fatal(args ...any) {
	r.failure = args[0]
	runtime.Goexit()
}

// run returns what f fails the test with, or nil.
func run(t *testing.T, f func(tb testing.TB)) any {
	t.Helper()
	r := &recordingTB{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(r)
	}()
	<-done
	return r.failure
}

func TestEventuallyReturnsWhenTheConditionHolds(t *testing.T) {
	calls := 0
	Eventually(t, "third call", func() bool {
		calls++
		return calls == 3
	})
	if calls != 3 {
		t.Errorf("%d calls, want 3", calls)
	}
}

func TestEventuallyNamesTheConditionAfterTheTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // so that a minute passes at once
		start := time.Now()
		failure := run(t, func(tb testing.TB) { tb.Helper(); Eventually(tb, "never true", func() bool { return false }) })
		err, ok := failure.(error)
		if !ok || !strings.Contains(err.Error(), "never true") {
			t.Errorf("failed with %v, want the name of the condition", failure)
		}
		if waited := time.Since(start); waited < timeout || waited > timeout+time.Second {
			t.Errorf("waited %v, want %v", waited, timeout)
		}
	})
}

func TestRetryFailsWithTheLastError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		last := errors.New("last")
		start := time.Now()
		failure := run(t, func(tb testing.TB) {
			tb.Helper()
			Retry(tb, func() error {
				if time.Since(start) > timeout {
					return last
				}
				return errors.New("early")
			})
		})
		if failure != any(last) {
			t.Errorf("failed with %v, want the last error", failure)
		}
	})
}

func TestHeapAllocCountsLiveObjects(t *testing.T) {
	const size = 32 << 20
	before := HeapAlloc()
	live := make([]byte, size)
	with := HeapAlloc()
	runtime.KeepAlive(live)
	if grew := with - before; grew < size || grew > size+4<<20 {
		t.Errorf("a slice of %d bytes counts as %d", size, grew)
	}
	if after := HeapAlloc(); after-before > 4<<20 {
		t.Errorf("a freed slice leaves %d bytes", after-before)
	}
}

// errorTB records whether the test failed.
type errorTB struct {
	testing.TB
	failed bool
}

func (*errorTB) Helper()                 {}
func (*errorTB) Logf(string, ...any)     {}
func (e *errorTB) Errorf(string, ...any) { e.failed = true }

func TestLinearRefusesQuadraticWork(t *testing.T) {
	if RaceEnabled {
		t.Skip("Linear would skip")
	}
	steps := func(of func(n int) int) (failed bool) {
		tb := &errorTB{}
		sum := 0
		Linear(tb, 200, func(n int) func() {
			return func() {
				for i := range of(n) {
					sum += i * sum // cannot be removed by the compiler
				}
			}
		})
		return tb.failed
	}
	if steps(func(n int) int { return 200 * n }) {
		t.Error("linear work fails")
	}
	if !steps(func(n int) int { return n * n }) {
		t.Error("quadratic work passes")
	}
}
