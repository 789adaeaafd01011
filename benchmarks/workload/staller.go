// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

// staller stops this process for 60 % of the time, as a hypervisor or a CPU quota does.
// It runs this program as a child process.
type staller struct{ process *exec.Cmd }

// newStaller starts the child process. A real quota stalls a process ten times a second.
// Stalls scaled down like the ticks would be shorter than a request, so the child stalls
// this process only two and a half times a tick.
func newStaller(ctx context.Context, tick time.Duration) *staller {
	self, err := os.Executable()
	if err != nil {
		return nil
	}
	c := exec.CommandContext(ctx, self, "-stall", strconv.Itoa(os.Getpid()), "-period", (tick * 2 / 5).String())
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) } // a killed child might leave this process stopped
	if c.Start() != nil {
		return nil
	}
	return &staller{c}
}

func (s *staller) stop() {
	_ = s.process.Process.Signal(syscall.SIGTERM)
	_ = s.process.Wait()
}

// stall runs in the child process and stalls another process, for ten seconds at most.
func stall(pid int, period time.Duration) {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer cancel()
	ctx, cancel = context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	process, err := os.FindProcess(pid)
	if err != nil {
		return
	}
	defer func() { _ = process.Signal(syscall.SIGCONT) }()
	stopped := period * 6 / 10
	for ctx.Err() == nil && process.Signal(syscall.SIGSTOP) == nil {
		time.Sleep(stopped)
		_ = process.Signal(syscall.SIGCONT)
		time.Sleep(period - stopped)
	}
}
