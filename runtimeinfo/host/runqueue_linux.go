package host

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
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
	dir   string
	files *files
	last  map[string]float64 // nanoseconds per thread as of the last pass
	next  map[string]float64 // the map that is filled for this pass
	total float64            // nanoseconds
}

func newRunQueue(dir string, f *files) *runQueue {
	return &runQueue{
		dir: dir, files: f,
		last: make(map[string]float64), next: make(map[string]float64),
	}
}

func (q *runQueue) read(_ context.Context, s *Sample) error {
	tids, err := q.threads()
	if err != nil {
		return err
	}
	if len(tids) > maxThreads {
		return nil
	}
	clear(q.next)
	for _, tid := range tids {
		wait, ok := parseSchedstat(q.files.text(q.dir, tid, "schedstat"))
		if !ok { // ended since, or a kernel without these numbers
			continue
		}
		q.next[tid] = wait
		grown := wait - q.last[tid]
		if grown < 0 { // the number of a dead thread was given to a new one
			grown = wait
		}
		q.total += grown
	}
	q.last, q.next = q.next, q.last
	if len(q.last) > 0 {
		put(s, ProcessRunQueueWait, q.total/1e9)
	}
	return q.files.takeErr()
}

func (q *runQueue) threads() ([]string, error) {
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
func parseSchedstat(text string) (wait float64, ok bool) {
	fields := strings.Fields(text)
	if len(fields) != 3 {
		return 0, false
	}
	run, wait, slices := parseCount(fields[0]), parseCount(fields[1]), parseCount(fields[2])
	return wait, run+slices > 0 && wait >= 0
}
