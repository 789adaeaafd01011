// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
)

// maxThreads bounds the threads whose wait is added up in one pass, each of
// which costs an open, a read and a close (5 µs). With more threads
// ProcessRunQueueWait is absent until there are fewer again.
const maxThreads = 256

// runQueue adds up how long the threads of the process waited for a CPU. The
// kernel has that number per thread only: /proc/self/schedstat is the main
// thread's, which in a Go program is one of many.
//
// Threads come and go, so the total is made of what each thread's number grew by
// since the last pass. What a thread waited between the last pass that saw it and
// its end is lost; Go threads seldom end.
type runQueue struct {
	dir     string
	file    file // of one thread after the other: to keep them all open would be rude
	pass    uint64
	threads map[string]*thread // by id, those of the last pass
	total   float64            // nanoseconds
}

type thread struct {
	path string
	wait float64 // nanoseconds
	pass uint64  // that read it last
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
		put(s, ProcessRunQueueWait, q.total/1e9)
	}
	return err
}

// add adds what a thread waited since the last pass.
func (q *runQueue) add(t *thread) error {
	q.file.path = t.path
	text, err := q.file.read()
	q.file.close()
	if err != nil && !absence(err) {
		return err
	}
	wait, ok := parseSchedstat(text)
	if !ok { // ended since, or a kernel without these numbers
		return nil
	}
	grown := wait - t.wait
	if grown < 0 { // the number of a dead thread was given to a new one
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

// parseSchedstat returns the wait in nanoseconds from a line of time run, time
// waited and time slices. A kernel without the numbers writes zeros, but every
// thread that is there has run.
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
