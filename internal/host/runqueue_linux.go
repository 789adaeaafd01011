// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"

	"github.com/gmpulse/gmpulse/internal/hostfield"
)

// maxThreads limits the threads that are read in one pass: each takes an
// open, a read and a close (5 µs). While there are more threads ProcessRunQueueWait is absent.
const maxThreads = 256

// runQueue sums the time that the threads of the process waited for a CPU. The kernel has that
// time for each thread; /proc/self/schedstat is only the main thread's.
//
// The total is the sum of each thread's increases since the last pass. The time between the last
// pass and the end of a thread is lost; Go threads seldom end.
type runQueue struct {
	dir   string
	waits map[string]float64 // nanoseconds by thread id, as of the last pass
	total float64            // nanoseconds
}

func (q *runQueue) read(_ context.Context, s *Sample) error {
	tids, err := readNames(q.dir, maxThreads+1)
	if err != nil || len(tids) > maxThreads {
		return err
	}
	waits := make(map[string]float64, len(tids))
	for _, tid := range tids {
		text, failed := read(q.dir, tid, "schedstat")
		if failed != nil && !absence(failed) && err == nil {
			err = failed
		}
		wait, ok := parseSchedstat(text)
		if !ok { // the thread has ended, or the kernel lacks these numbers
			continue
		}
		waits[tid] = wait
		if before := q.waits[tid]; before <= wait {
			wait -= before
		} // otherwise a new thread has the id of an ended one
		q.total += wait
	}
	if q.waits = waits; len(waits) > 0 {
		put(s, hostfield.ProcessRunQueueWait, q.total/1e9)
	}
	return err
}

// readNames returns the names of at most n files of a directory.
func readNames(path string, n int) ([]string, error) {
	dir, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(n)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return names, err
}

// parseSchedstat returns the second of three numbers: time run, time waited and time slices. A
// kernel without them writes zeros; every thread has run.
func parseSchedstat(text []byte) (wait float64, ok bool) {
	words := bytes.Fields(text)
	if len(words) != 3 {
		return 0, false
	}
	run, wait, slices := parseCount(words[0]), parseCount(words[1]), parseCount(words[2])
	return wait, run+slices > 0 && wait >= 0
}
