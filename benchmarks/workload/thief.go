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

// thief stops this process for 60 of every 100 parts of its time, as a hypervisor
// or a quota does. It is another process, this very program with a flag.
type thief struct{ process *exec.Cmd }

// newThief sends a thief out. A real one comes ten times a second; stalls scaled
// down as much as the ticks are would be shorter than a request, so it comes two and
// a half times a tick.
func newThief(ctx context.Context, tick time.Duration) *thief {
	self, err := os.Executable()
	if err != nil {
		return nil
	}
	c := exec.CommandContext(ctx, self, "-steal", strconv.Itoa(os.Getpid()), "-period", (tick * 2 / 5).String())
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) } // killed, it might leave us stopped
	if c.Start() != nil {
		return nil
	}
	return &thief{c}
}

func (t *thief) stop() {
	_ = t.process.Process.Signal(syscall.SIGTERM)
	_ = t.process.Wait()
}

// steal is the thief's work. It ends by itself after ten seconds.
func steal(pid int, period time.Duration) {
	enough, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer cancel()
	enough, cancel = context.WithTimeout(enough, 10*time.Second)
	defer cancel()
	victim, err := os.FindProcess(pid)
	if err != nil {
		return
	}
	defer func() { _ = victim.Signal(syscall.SIGCONT) }()
	stopped := period * 6 / 10
	for enough.Err() == nil && victim.Signal(syscall.SIGSTOP) == nil {
		time.Sleep(stopped)
		_ = victim.Signal(syscall.SIGCONT)
		time.Sleep(period - stopped)
	}
}
