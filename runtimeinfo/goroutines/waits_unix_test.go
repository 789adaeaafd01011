// SPDX-License-Identifier: Apache-2.0

//go:build unix

package goroutines_test

import (
	"os"
	"syscall"

	"github.com/gmpulse/gmpulse/internal/testutil"
	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines"
)

func waitKernel(fd int) {
	syscall.Read(fd, make([]byte, 1)) // waitKernel
}

// startFiles starts waits for files. Only on Unix do pipes use the poller and raw descriptors
// block.
func startFiles(s *scene) []wait {
	r, w, err := os.Pipe()
	if err != nil {
		s.t.Fatal(err)
	}
	s.start(func() { waitFile(r) }, func() { w.Close() })
	testutil.Eventually(s.t, "a goroutine reads", func() bool { return reasonOf(packagePath+"waitFile") == "IO wait" })
	s.start(func() { waitFileLock(r) }, func() {}) // waits for the first reader

	var fds [2]int
	if err := syscall.Pipe(fds[:]); err != nil {
		s.t.Fatal(err)
	}
	s.start(func() { waitKernel(fds[0]) }, func() {
		syscall.Close(fds[1])
	})
	return []wait{
		{"waitFile", goroutines.IO, "", false},
		{"waitFileLock", goroutines.Semaphore, "semacquire", false},
		{"waitKernel", goroutines.Syscall, "", false},
	}
}
