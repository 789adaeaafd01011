//go:build unix

package exectrace_test

import (
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines"
	"github.com/gmpulse/gmpulse/tracectx/exectrace"
)

// A goroutine that is in a system call all the time did not run; one that
// returns did.
func TestRecordSyscall(t *testing.T) {
	var fds [2]int
	if err := syscall.Pipe(fds[:]); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	stop := make(chan struct{})
	wg.Go(func() { readPipe(fds[0], stop) })
	r := newRecorder(t, exectrace.Config{})
	eventually(t, func() error { // it has entered the call
		found := in(record(t, r, 1200*time.Millisecond), "readPipe")
		if len(found) != 1 {
			return fmt.Errorf("%d goroutines in the call", len(found))
		}
		if g := found[0]; g.Ran || g.Created || g.Wakeup != goroutines.WakeupNone {
			return fmt.Errorf("in the call all the time: %+v", g)
		}
		return nil
	})
	time.AfterFunc(100*time.Millisecond, func() { _, _ = syscall.Write(fds[1], []byte("x")) })
	found := in(record(t, r, 500*time.Millisecond), "readPipe")
	if len(found) != 1 || !found[0].Ran || found[0].Wakeup != goroutines.WakeupSyscall {
		t.Errorf("back from the call: %+v", found)
	}
	close(stop)
	wg.Wait()
	_, _ = syscall.Close(fds[0]), syscall.Close(fds[1])
}

//go:noinline
func readPipe(fd int, stop <-chan struct{}) {
	_, _ = syscall.Read(fd, make([]byte, 1))
	<-stop
}
