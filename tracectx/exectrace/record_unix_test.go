// SPDX-License-Identifier: Apache-2.0

//go:build unix

package exectrace_test

import (
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/internal/testutil"
	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines"
	"github.com/gmpulse/gmpulse/tracectx/exectrace"
)

//go:noinline
func readPipe(fd int, stop <-chan struct{}) {
	_, _ = syscall.Read(fd, make([]byte, 1))
	<-stop
}

// A goroutine in a system call did not run, unless the call returned.
func TestRecordSystemCalls(t *testing.T) {
	r := newRecorder(t, exectrace.Config{})
	testutil.Retry(t, func() error {
		var fds [2]int
		if err := syscall.Pipe(fds[:]); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		stop := make(chan struct{})
		wg.Go(func() { readPipe(fds[0], stop) })
		time.Sleep(beat) // it enters the call
		silent := in(record(t, r, 1200*time.Millisecond), "readPipe")
		wg.Go(func() {
			untilTracing()
			_, _ = syscall.Write(fds[1], []byte("x"))
		})
		back := in(record(t, r, 300*time.Millisecond), "readPipe")
		close(stop)
		wg.Wait()
		_, _ = syscall.Close(fds[0]), syscall.Close(fds[1])
		if len(silent) != 1 || silent[0].Ran || silent[0].Created || silent[0].Wakeup != goroutines.WakeupNone {
			return fmt.Errorf("in the call: %+v", silent)
		}
		if len(back) != 1 || !back[0].Ran || back[0].Wakeup != goroutines.WakeupSyscall {
			return fmt.Errorf("returned from the call: %+v", back)
		}
		return nil
	})
}
