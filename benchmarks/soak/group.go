// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// group is a control group with a limit on memory.
type group struct {
	dir    string
	origin string // cgroup.procs of the group of this process
}

// newGroup creates a group with a limit in bytes below or beside the group of this process.
func newGroup(limit int64) (g *group, err error) {
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	name := "gmpulse-soak-" + strconv.Itoa(os.Getpid())
	limitFile := "memory.limit_in_bytes"
	for line := range strings.Lines(string(text)) {
		controllers, own, _ := strings.Cut(strings.TrimSpace(line[strings.Index(line, ":")+1:]), ":")
		switch controllers {
		case "memory": // version 1
			root := filepath.Join("/sys/fs/cgroup/memory", own)
			g = &group{filepath.Join(root, name), filepath.Join(root, "cgroup.procs")}
		case "": // version 2; a group with processes has no groups with controllers below it
			root := filepath.Join("/sys/fs/cgroup", own)
			if _, err := os.Stat(filepath.Join(root, "memory.max")); g == nil && err == nil {
				limitFile = "memory.max"
				g = &group{filepath.Join(filepath.Dir(root), name), filepath.Join(root, "cgroup.procs")}
			}
		}
	}
	if g == nil {
		return nil, errors.New("the process is in no group with a memory controller")
	}
	if err := os.Mkdir(g.dir, 0o755); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(g.dir, limitFile), []byte(strconv.FormatInt(limit, 10)), 0); err != nil {
		return nil, errors.Join(err, os.Remove(g.dir))
	}
	return g, nil
}

// join moves this process into the group of a cgroup.procs file.
func join(procs string) error {
	return os.WriteFile(procs, []byte(strconv.Itoa(os.Getpid())), 0)
}

// runInGroup runs this program again with the same arguments, in the group.
func runInGroup(g *group) error {
	defer func() { _ = os.Remove(g.dir) }() // empty now
	program, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(program, append(os.Args[1:], "-group", g.dir, "-leave", g.origin)...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("in the control group: %w", err) // "signal: killed" if it needed more memory
	}
	return nil
}

// groupUse describes how much memory a group has used.
func groupUse(dir string) string {
	for _, name := range []string{"memory.max_usage_in_bytes", "memory.peak"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if n, errParse := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && errParse == nil {
			return fmt.Sprintf("The control group used at most %d MiB, including files in the page cache.", n>>20)
		}
	}
	return "The use of the control group is unknown."
}
