// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"

	"github.com/gmpulse/gmpulse/internal/hostfield"
)

// maxThreads limits the threads that are read in one pass: each takes an open, a read and a
// close (5 µs). While there are more threads ProcessRunQueueWait is absent.
const maxThreads = 256

// runQueue sums the time that the threads of the process waited for a CPU. The kernel has that
// time for each thread; /proc/self/schedstat is only the main thread's.
//
// The total is the sum of each thread's increases since the last pass. The time between the last
// pass and the end of a thread is lost; Go threads seldom end.
type runQueue struct {
	dir     string
	file    file // reused for each thread: keeping all open would take too many descriptors
	pass    uint64
	threads map[string]*thread // by id, as of the last pass
	total   float64            // nanoseconds
}

type thread struct {
	path string
	wait float64 // nanoseconds
	pass uint64  // the last one that read it
}

func newRunQueue(dir string, f *files) *runQueue {
	return &runQueue{dir: dir, file: file{files: f, fd: -1}, threads: map[string]*thread{}}
}

func (q *runQueue) read(_ context.Context, s *Sample) error {
	tids, err := q.list()
	if err != nil {
		return err
	}
	if len(tids) > maxThreads {
		return nil
	}
	q.pass++
	for _, tid := range tids {
		if t := q.threads[tid]; t == nil {
			q.threads[tid] = &thread{path: filepath.Join(q.dir, tid, "schedstat")}
		}
		if failed := q.add(q.threads[tid]); err == nil {
			err = failed
		}
	}
	maps.DeleteFunc(q.threads, func(_ string, t *thread) bool { return t.pass != q.pass })
	if len(q.threads) > 0 {
		put(s, hostfield.ProcessRunQueueWait, q.total/1e9)
	}
	return err
}

// add adds the wait of a thread since the last pass.
func (q *runQueue) add(t *thread) error {
	q.file.path = t.path
	text, err := q.file.read()
	q.file.close()
	if err != nil && !absence(err) {
		return err
	}
	wait, ok := parseSchedstat(text)
	if !ok { // the thread has ended, or the kernel lacks these numbers
		return nil
	}
	grown := wait - t.wait
	if grown < 0 { // a new thread has the id of an ended one
		grown = wait
	}
	q.total += grown
	t.wait, t.pass = wait, q.pass
	return nil
}

func (q *runQueue) list() ([]string, error) {
	dir, err := os.Open(q.dir)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	tids, err := dir.Readdirnames(maxThreads + 1)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return tids, err
}

// parseSchedstat returns the second of three numbers: time run, time waited and time slices. A
// kernel without them writes zeros; every thread has run.
func parseSchedstat(text []byte) (wait float64, ok bool) {
	first, rest := nextWord(text)
	second, rest := nextWord(rest)
	third, rest := nextWord(rest)
	if more, _ := nextWord(rest); len(third) == 0 || len(more) > 0 {
		return 0, false
	}
	run, wait, slices := parseCount(first), parseCount(second), parseCount(third)
	return wait, run+slices > 0 && wait >= 0
}
