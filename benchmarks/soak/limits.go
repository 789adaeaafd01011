// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// limits are the limits of the process; 0 is none.
type limits struct {
	memory int64  // MiB
	files  uint64 // descriptors

	group  string // directory of the control group that enforces the limit of the memory, or ""
	origin string // cgroup.procs of the group that the hostile clients move to
}

// set sets the limits, before the agent reads them.
func (l *limits) set() error {
	fmt.Println("Limits:", l)
	if l.memory > 0 {
		debug.SetMemoryLimit(l.memory << 20 / 10 * 9)
	}
	if l.group != "" {
		if err := join(filepath.Join(l.group, "cgroup.procs")); err != nil {
			return err
		}
	}
	if l.files == 0 {
		return nil
	}
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r); err != nil {
		return err
	}
	r.Cur = min(l.files, r.Max) // the Go runtime of a child process raises it again
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &r)
}

func (l *limits) String() string {
	memory, files := "memory without limit", "the system's limit of open files"
	switch {
	case l.group != "":
		memory = fmt.Sprintf("a control group of %d MiB", l.memory)
	case l.memory > 0:
		memory = fmt.Sprintf("GOMEMLIMIT of %d MiB, no control group", l.memory*9/10)
	}
	if l.files > 0 {
		files = fmt.Sprintf("%d open files", l.files)
	}
	return memory + ", " + files
}

// measure updates the peaks of descriptors and resident memory.
func (s *service) measure() error {
	descriptors, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	raise(&s.peakFiles, int64(len(descriptors)-1)) // without the descriptor of this directory
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return err
	}
	pages, err := strconv.ParseInt(strings.Fields(string(text))[1], 10, 64)
	raise(&s.peakMemory, pages*int64(os.Getpagesize()))
	return err
}

// checkLimits reports the limits that the process exceeded, and whether requests,
// viewers or scrapers got no answer.
func (s *service) checkLimits() error {
	var errs []error
	if most := s.limits.memory << 20; s.limits.memory > 0 && s.peakMemory.Load() > most {
		errs = append(errs, fmt.Errorf("%d bytes were resident, want at most %d", s.peakMemory.Load(), most))
	}
	// A tenth of the descriptors must remain for the service.
	if most := int64(s.limits.files) * 9 / 10; most > 0 && s.peakFiles.Load() > most {
		errs = append(errs, fmt.Errorf("%d descriptors were open, want at most %d of %d", s.peakFiles.Load(), most, s.limits.files))
	}
	if s.requests.Load() == 0 || s.scrapes.Load() == 0 || s.rows.Load() == 0 {
		errs = append(errs, errors.New("no request, no scrape or no viewer was answered"))
	}
	const longest = 5 * time.Second // a request sleeps for half a second
	if l := time.Duration(s.longest.Load()); l > longest {
		errs = append(errs, fmt.Errorf("a request of the service took %v, the limit is %v", l, longest))
	}
	if all := s.visits.Load() + s.scrapes.Load(); s.displaced.Load() > 1+all/20 {
		errs = append(errs, fmt.Errorf("%d of %d connections of viewers and scrapers were closed in favour of other clients, want at most one in twenty", s.displaced.Load(), all))
	}
	if s.hostile > 0 {
		errs = append(errs, s.attacks.check())
	}
	return errors.Join(errs...)
}

// raise sets v to n if n is larger.
func raise(v *atomic.Int64, n int64) {
	for old := v.Load(); n > old && !v.CompareAndSwap(old, n); old = v.Load() {
	}
}
