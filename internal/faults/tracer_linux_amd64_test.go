// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"errors"
	"os/exec"
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// action is what happens to a call.
type action struct {
	fail    syscall.Errno // if not 0: the call is not made, except for close, and returns this error
	lose    bool          // the call is not made and succeeds
	shorten bool          // the call writes half of its bytes
	kill    bool          // the process is killed before the call or, with shorten, after it
	delay   time.Duration // before the call
}

// tracer runs a child and decides about its calls.
type tracer struct {
	dir    string // only files below it count
	decide func(c call) action
	disk   *disk // records the calls; may be nil

	pid     int
	threads map[int]*thread
	delayed map[int]time.Time // threads that wait before a call
}

// thread is a thread of the child.
type thread struct {
	call   *call // that it is in; nil if none is
	action action
}

// stopAtCalls makes the kernel stop this process at the calls that are traced, and at no
// other: a stop takes long. The tracer must have been attached.
func stopAtCalls() error {
	const loadNumber, ifEqual, end = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_RET | unix.BPF_K
	filter := []unix.SockFilter{{Code: loadNumber}}
	for number := range traced {
		filter = append(filter,
			unix.SockFilter{Code: ifEqual, Jf: 1, K: uint32(number)},
			unix.SockFilter{Code: end, K: unix.SECCOMP_RET_TRACE})
	}
	filter = append(filter, unix.SockFilter{Code: end, K: unix.SECCOMP_RET_ALLOW})
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]} //nolint:gosec // some dozens
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&program))) //nolint:gosec // as the kernel wants it
	if errno != 0 {
		return errno
	}
	return nil
}

// run starts cmd, which calls stopAtCalls and writes to files only, and returns how it ended.
// A child that lives longer than the timeout is killed.
func (t *tracer) run(cmd *exec.Cmd, timeout time.Duration) (ws syscall.WaitStatus, err error) {
	runtime.LockOSThread() // a thread can only be traced by the one that started it
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	t.pid = cmd.Process.Pid
	t.threads, t.delayed = map[int]*thread{t.pid: {}}, map[int]time.Time{}
	if _, err := syscall.Wait4(t.pid, &ws, syscall.WALL, nil); err != nil { // stopped after exec
		return 0, err
	}
	if err := syscall.PtraceSetOptions(t.pid, unix.PTRACE_O_TRACESYSGOOD|unix.PTRACE_O_TRACECLONE|unix.PTRACE_O_TRACESECCOMP|unix.PTRACE_O_EXITKILL); err != nil {
		return 0, err
	}
	if err := syscall.PtraceCont(t.pid, 0); err != nil {
		return 0, err
	}
	hangs := make(chan struct{})
	timer := time.AfterFunc(timeout, func() {
		close(hangs)
		_ = syscall.Kill(t.pid, syscall.SIGKILL)
	})
	ws, err = t.follow()
	if !timer.Stop() {
		<-hangs
		return ws, errors.New("the process hangs")
	}
	return ws, err
}

// follow handles stops until the child has ended.
func (t *tracer) follow() (syscall.WaitStatus, error) {
	for {
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
	}
}

// wait waits for a stop or an end of a thread, at most a millisecond if a call is delayed.
// It returns 0 after such a time.
func (t *tracer) wait() (pid int, ws syscall.WaitStatus, err error) {
	options := syscall.WALL | unix.WNOTHREAD // children of this thread, because other tests have their own
	if len(t.delayed) > 0 {
		options |= syscall.WNOHANG
	}
	for {
		pid, err = syscall.Wait4(-1, &ws, options, nil)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil || pid != 0 {
		return pid, ws, err
	}
	time.Sleep(time.Millisecond)
	for waiting, until := range t.delayed {
		if time.Now().After(until) {
			delete(t.delayed, waiting)
			t.proceed(waiting, t.threads[waiting])
		}
	}
	return 0, 0, nil
}

// stopped handles a stop and lets the thread continue. Errors mean that the thread is dead.
func (t *tracer) stopped(pid int, ws syscall.WaitStatus) {
	th := t.threads[pid]
	if th == nil {
		th = &thread{}
		t.threads[pid] = th
		if ws.StopSignal() == syscall.SIGSTOP { // the first stop of a new thread
			_ = syscall.PtraceCont(pid, 0)
			return
		}
	}
	switch sig := ws.StopSignal(); {
	case sig == syscall.SIGTRAP && ws.TrapCause() == unix.PTRACE_EVENT_SECCOMP:
		t.enter(pid, th)
	case sig == syscall.SIGTRAP|0x80:
		t.exit(pid, th)
		_ = syscall.PtraceCont(pid, 0)
	case sig == syscall.SIGTRAP: // a new thread
		_ = syscall.PtraceCont(pid, 0)
	default:
		_ = syscall.PtraceCont(pid, int(sig))
	}
}

// enter handles the entry to a call and lets the thread continue.
func (t *tracer) enter(pid int, th *thread) {
	var regs syscall.PtraceRegs
	if err := syscall.PtraceGetRegs(pid, &regs); err != nil {
		return
	}
	th.call, th.action = t.parse(pid, &regs), action{}
	if th.call == nil {
		_ = syscall.PtraceCont(pid, 0)
		return
	}
	th.action = t.decide(*th.call)
	switch a := th.action; {
	case a.fail != 0 && th.call.name == "close": // afterwards: the descriptor is closed in any case
	case a.fail != 0:
		t.skip(pid, th, &regs, uint64(-int64(a.fail)))
		return
	case a.lose:
		t.skip(pid, th, &regs, th.call.size) // the bytes of a write, 0 for all others
		return
	case a.shorten:
		regs.Rdx /= 2
		_ = syscall.PtraceSetRegs(pid, &regs)
	case a.kill:
		_ = syscall.Kill(t.pid, syscall.SIGKILL)
	case a.delay > 0:
		t.delayed[pid] = time.Now().Add(a.delay)
		return
	}
	t.proceed(pid, th)
}

// skip makes a call return a result without being made.
func (t *tracer) skip(pid int, th *thread, regs *syscall.PtraceRegs, result uint64) {
	regs.Orig_rax, regs.Rax = ^uint64(0), result
	_ = syscall.PtraceSetRegs(pid, regs)
	th.call = nil
	_ = syscall.PtraceCont(pid, 0)
}

// proceed lets a thread make its call, up to the exit if something is left to do there.
func (t *tracer) proceed(pid int, th *thread) {
	if t.disk != nil {
		t.disk.making(*th.call)
	}
	if t.disk != nil || th.action != (action{}) {
		_ = syscall.PtraceSyscall(pid, 0)
		return
	}
	_ = syscall.PtraceCont(pid, 0)
}

// exit handles the exit from a call.
func (t *tracer) exit(pid int, th *thread) {
	var regs syscall.PtraceRegs
	if err := syscall.PtraceGetRegs(pid, &regs); err != nil || th.call == nil {
		return
	}
	if a := th.action; a.fail != 0 {
		regs.Rax = uint64(-int64(a.fail))
		_ = syscall.PtraceSetRegs(pid, &regs)
	} else if a.kill {
		_ = syscall.Kill(t.pid, syscall.SIGKILL)
	}
	if t.disk != nil && int64(regs.Rax) >= 0 { //nolint:gosec // as the kernel does
		t.disk.made(*th.call)
	}
	th.call = nil
}
