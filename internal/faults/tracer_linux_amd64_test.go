// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// call is one system call of the child on a file of the store.
type call struct {
	name string
	path string // of a rename: the old path
	to   string // of a rename: the new path
	size uint64 // of a write: the number of bytes
}

func (c call) String() string { return fmt.Sprintf("%s(%s)", c.name, filepath.Base(c.path)) }

func (c call) isWrite() bool { return c.name == "write" || c.name == "pwrite64" }
func (c call) isSync() bool  { return c.name == "fsync" || c.name == "fdatasync" }

// isRead reports whether the call leaves the file system as it is.
func (c call) isRead() bool {
	switch c.name {
	case "read", "pread64", "getdents64", "flock", "open":
		return true
	}
	return c.isSync()
}

// where says which arguments of a system call name a file.
type where uint8

const (
	byFD     where = iota // the first argument is a descriptor
	byPath                // the first is a path
	byAt                  // a directory and a path
	byTwoAts              // two of them
)

// traced has the system calls that count. Go uses the *at variants of most.
var traced = map[uint64]struct {
	name string
	where
}{
	syscall.SYS_READ: {"read", byFD}, syscall.SYS_PREAD64: {"pread64", byFD}, syscall.SYS_GETDENTS64: {"getdents64", byFD},
	syscall.SYS_WRITE: {"write", byFD}, syscall.SYS_PWRITE64: {"pwrite64", byFD}, syscall.SYS_FTRUNCATE: {"ftruncate", byFD},
	syscall.SYS_FSYNC: {"fsync", byFD}, syscall.SYS_FDATASYNC: {"fdatasync", byFD}, syscall.SYS_FLOCK: {"flock", byFD},
	syscall.SYS_OPENAT: {"open", byAt}, syscall.SYS_MKDIRAT: {"mkdir", byAt}, syscall.SYS_UNLINKAT: {"unlink", byAt},
	syscall.SYS_RENAMEAT: {"rename", byTwoAts}, 316: {"rename", byTwoAts}, // renameat2
	syscall.SYS_MKDIR: {"mkdir", byPath}, syscall.SYS_UNLINK: {"unlink", byPath},
}

// action is what happens to a call.
type action struct {
	fail    syscall.Errno // if not 0: the call is not made and returns this error
	lose    bool          // the call is not made and succeeds
	shorten bool          // the call writes half of its bytes
	kill    bool          // the process is killed before the call or, with shorten, after it
	delay   time.Duration // before the call
}

// tracer runs a child and decides about its calls.
type tracer struct {
	dir    string // only files below it count
	decide func(n int, c call) action
	done   func(c call) // is called after each call that succeeded; may be nil

	pid     int
	n       int // calls so far
	threads map[int]*thread
	delayed map[int]time.Time // threads that wait before a call
}

// thread is a thread of the child.
type thread struct {
	inCall bool
	call   *call // nil if it does not count
	action action
}

// run starts cmd, which writes to files only, and returns how it ended. Every child that
// lives longer than the timeout is killed.
func (t *tracer) run(cmd *exec.Cmd, timeout time.Duration) (ws syscall.WaitStatus, err error) {
	runtime.LockOSThread() // a thread can only be traced by the one that started it
	defer runtime.UnlockOSThread()
	const exitKill = 0x100000 // PTRACE_O_EXITKILL
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	t.pid = cmd.Process.Pid
	t.threads, t.delayed = map[int]*thread{t.pid: {}}, map[int]time.Time{}
	if _, err := syscall.Wait4(t.pid, &ws, syscall.WALL, nil); err != nil { // stopped after exec
		return 0, err
	}
	if err := syscall.PtraceSetOptions(t.pid, syscall.PTRACE_O_TRACESYSGOOD|syscall.PTRACE_O_TRACECLONE|exitKill); err != nil {
		return 0, err
	}
	if err := syscall.PtraceSyscall(t.pid, 0); err != nil {
		return 0, err
	}
	for deadline := time.Now().Add(timeout); ; {
		pid, status, err := t.wait()
		switch {
		case err != nil:
			return 0, err
		case pid == t.pid && (status.Exited() || status.Signaled()):
			return status, nil
		case status.Stopped():
			t.stopped(pid, status)
		case pid != 0:
			delete(t.threads, pid)
		}
		if time.Now().After(deadline) {
			_ = syscall.Kill(t.pid, syscall.SIGKILL)
			return 0, errors.New("the process hangs")
		}
	}
}

// wait waits for a stop or an end of a thread, at most a millisecond if a call is delayed.
// It returns 0 after such a time.
func (t *tracer) wait() (pid int, ws syscall.WaitStatus, err error) {
	pid, err = syscall.Wait4(-1, &ws, syscall.WALL|syscall.WNOHANG, nil)
	for errors.Is(err, syscall.EINTR) {
		pid, err = syscall.Wait4(-1, &ws, syscall.WALL|syscall.WNOHANG, nil)
	}
	if err != nil || pid != 0 {
		return pid, ws, err
	}
	for waiting, until := range t.delayed {
		if time.Now().After(until) {
			delete(t.delayed, waiting)
			_ = syscall.PtraceSyscall(waiting, 0) // may be dead
		}
	}
	time.Sleep(200 * time.Microsecond)
	return 0, 0, nil
}

// stopped handles a stop and lets the thread continue. Errors mean that the thread is dead.
func (t *tracer) stopped(pid int, ws syscall.WaitStatus) {
	th := t.threads[pid]
	if th == nil {
		th = &thread{}
		t.threads[pid] = th
		if ws.StopSignal() == syscall.SIGSTOP { // the first stop of a new thread
			_ = syscall.PtraceSyscall(pid, 0)
			return
		}
	}
	switch sig := ws.StopSignal(); sig {
	case syscall.SIGTRAP | 0x80:
		t.syscall(pid, th)
		if _, delayed := t.delayed[pid]; !delayed {
			_ = syscall.PtraceSyscall(pid, 0)
		}
	case syscall.SIGTRAP: // a new thread, or exec
		_ = syscall.PtraceSyscall(pid, 0)
	default:
		_ = syscall.PtraceSyscall(pid, int(sig))
	}
}

// syscall handles the entry to a call or its exit.
func (t *tracer) syscall(pid int, th *thread) {
	var regs syscall.PtraceRegs
	if err := syscall.PtraceGetRegs(pid, &regs); err != nil {
		return
	}
	if th.inCall = !th.inCall; th.inCall {
		th.call, th.action = t.parse(pid, &regs), action{}
		if th.call == nil {
			return
		}
		th.action = t.decide(t.n, *th.call)
		t.n++
		t.enter(pid, th, &regs)
		return
	}
	if th.call == nil {
		return
	}
	switch a := th.action; {
	case a.fail != 0:
		regs.Rax = uint64(-int64(a.fail))
		_ = syscall.PtraceSetRegs(pid, &regs)
	case a.lose:
		regs.Rax = th.call.size // the bytes of a write, 0 for all others
		_ = syscall.PtraceSetRegs(pid, &regs)
	case a.kill:
		_ = syscall.Kill(t.pid, syscall.SIGKILL)
		fallthrough
	default:
		if t.done != nil && int64(regs.Rax) >= 0 {
			t.done(*th.call)
		}
	}
}

func (t *tracer) enter(pid int, th *thread, regs *syscall.PtraceRegs) {
	switch a := th.action; {
	case a.fail != 0, a.lose:
		regs.Orig_rax = ^uint64(0) // no such call
		_ = syscall.PtraceSetRegs(pid, regs)
	case a.shorten:
		regs.Rdx /= 2
		_ = syscall.PtraceSetRegs(pid, regs)
	case a.kill:
		_ = syscall.Kill(t.pid, syscall.SIGKILL)
	case a.delay > 0:
		t.delayed[pid] = time.Now().Add(a.delay)
	}
}

// parse returns the call, or nil if it does not count.
func (t *tracer) parse(pid int, regs *syscall.PtraceRegs) *call {
	s, ok := traced[regs.Orig_rax]
	if !ok {
		return nil
	}
	c := &call{name: s.name}
	switch s.where {
	case byFD:
		c.path = t.fdPath(regs.Rdi)
	case byPath:
		c.path = t.text(pid, regs.Rdi)
	case byAt:
		c.path = t.at(pid, regs.Rdi, regs.Rsi)
	case byTwoAts:
		c.path, c.to = t.at(pid, regs.Rdi, regs.Rsi), t.at(pid, regs.Rdx, regs.R10)
	}
	if c.path != t.dir && !strings.HasPrefix(c.path, t.dir+"/") {
		return nil
	}
	if c.isWrite() {
		c.size = regs.Rdx
	}
	if c.name == "open" && regs.Rdx&syscall.O_CREAT != 0 {
		c.name = "create"
	}
	return c
}

func (t *tracer) fdPath(fd uint64) string {
	path, _ := os.Readlink("/proc/" + strconv.Itoa(t.pid) + "/fd/" + strconv.FormatUint(fd, 10))
	return strings.TrimSuffix(path, " (deleted)")
}

func (t *tracer) at(pid int, dir, path uint64) string {
	name := t.text(pid, path)
	if filepath.IsAbs(name) {
		return filepath.Clean(name)
	}
	return filepath.Join(t.fdPath(dir), name) // without a directory: not of the store, which has absolute paths
}

// text reads a string that ends with 0.
func (t *tracer) text(pid int, at uint64) string {
	var b []byte
	for word := make([]byte, 8); len(b) < 4096; {
		if _, err := syscall.PtracePeekData(pid, uintptr(at)+uintptr(len(b)), word); err != nil {
			return string(b)
		}
		for _, c := range word {
			if c == 0 {
				return string(b)
			}
			b = append(b, c)
		}
	}
	return string(b)
}
