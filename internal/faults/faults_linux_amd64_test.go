// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"bufio"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// storeVariable names the store that a child process writes.
const storeVariable = "GMPULSE_FAULTS_STORE"

// parallel is how many children run at a time. They mostly wait.
const parallel = "8"

func TestMain(m *testing.M) {
	if name := os.Getenv(storeVariable); name != "" {
		must(stopAtCalls())
		stores[name].write(os.Args[len(os.Args)-1])
		os.Exit(0)
	}
	flag.Parse()
	must(flag.Set("test.parallel", parallel))
	os.Exit(m.Run())
}

// store is a part of gmpulse that writes files.
type store struct {
	// prepare fills the directory before the child starts; may be nil.
	prepare func(t *testing.T, dir string)
	// counts limits the calls that fail; nil means all.
	counts func(c call) bool
	// write is run by the child. It prints what it was promised, one line each.
	write func(dir string)
	// check opens the directory as the next process does. It reports what is wrong.
	check func(t *testing.T, dir string, o *outcome)
}

// outcome is how a child ended.
type outcome struct {
	fault  fault
	killed bool
	lines  []string // of standard output
	log    string   // standard error
}

// has returns the rest of the lines that begin with a word.
func (o *outcome) has(word string) (rest []string) {
	for _, l := range o.lines {
		if r, ok := strings.CutPrefix(l, word+" "); ok {
			rest = append(rest, r)
		}
	}
	return rest
}

// fault is something that goes wrong at one call.
type fault struct {
	name string
	fits func(c call) bool
	at   action
	next syscall.Errno // error of later writes of the same file
	all  bool          // later calls that it fits fail as well
	cut  bool          // the power fails when the process ends
	lies bool          // the disk confirms what it did not do
}

// faults are all that can go wrong.
var faults = []fault{
	{name: "error", fits: func(call) bool { return true }, at: action{fail: syscall.EIO}},
	{name: "disk full", fits: func(c call) bool { return c.changes() && c.name != "unlink" }, at: action{fail: syscall.ENOSPC}},
	{name: "disk dies", fits: func(c call) bool { return c.changes() || c.isSync() }, at: action{fail: syscall.EIO}, all: true},
	{name: "disk cannot be read", fits: call.isRead, at: action{fail: syscall.EIO}, all: true},
	{name: "torn write", fits: call.isWrite, at: action{shorten: true}, next: syscall.ENOSPC},
	{name: "lost write", fits: call.isWrite, at: action{lose: true}, lies: true},
	{name: "lost sync and power", fits: call.isSync, at: action{lose: true}, cut: true, lies: true},
	{name: "killed", fits: call.changes, at: action{kill: true}},
	{name: "killed in a write", fits: call.isWrite, at: action{kill: true, shorten: true}},
	{name: "power", fits: func(c call) bool { return c.changes() || c.isSync() }, at: action{kill: true}, cut: true},
	{name: "power in a write", fits: call.isWrite, at: action{kill: true, shorten: true}, cut: true},
	{name: "slow", fits: func(c call) bool { return c.isWrite() || c.isSync() }, at: action{delay: 300 * time.Millisecond}},
}

// one is a fault at one of the calls of a store: the n-th that has its name and file.
type one struct {
	call  call
	n     int
	fault fault
}

// String is the same in each run.
func (o one) String() string {
	return fmt.Sprintf("%s at %s %d of %s", o.fault.name, o.call.name, o.n, o.call.file())
}

// decide returns a function for a tracer that makes the fault happen, which it records.
func (o one) decide(happened *bool) func(call) action {
	n, path := 0, ""
	return func(c call) action {
		if !*happened && c.String() == o.call.String() {
			if n++; n == o.n {
				*happened, path = true, c.path
				return o.fault.at
			}
			return action{}
		}
		switch {
		case *happened && o.fault.all && o.fault.fits(c):
			return o.fault.at
		case *happened && o.fault.next != 0 && c.isWrite() && c.path == path:
			path = "" // once
			return action{fail: o.fault.next}
		}
		return action{}
	}
}

// test runs a store with every fault at every call or, unless GMPULSE_FAULTS is full, with
// some of them.
func test(t *testing.T, name string, some int) {
	t.Helper()
	t.Parallel()
	s := stores[name]
	prepared := t.TempDir()
	if s.prepare != nil {
		s.prepare(t, prepared)
	}
	all := combinations(trace(t, name, s, prepared))
	// On a busy machine a process repeats calls that took too long, and not in each run.
	chosen, mayMiss := choose(name, all, some), some-1
	if os.Getenv("GMPULSE_FAULTS") == "full" {
		chosen, mayMiss = all, len(all)/20
	}
	t.Logf("%d of %d faults", len(chosen), len(all))
	var missed atomic.Int32
	for _, o := range chosen {
		t.Run(o.String(), func(t *testing.T) {
			t.Parallel()
			if !attempt(t, name, s, prepared, o) {
				missed.Add(1)
				t.Skip("the process did not make this call again")
			}
		})
	}
	t.Cleanup(func() {
		if n := int(missed.Load()); n > mayMiss {
			t.Errorf("%d of %d faults did not happen, because the process made other calls", n, len(chosen))
		}
	})
}

// combinations returns the faults that fit the calls.
func combinations(calls []call) (all []one) {
	seen := map[string]int{}
	for _, c := range calls {
		seen[c.String()]++
		for _, f := range faults {
			if f.fits(c) {
				all = append(all, one{c, seen[c.String()], f})
			}
		}
	}
	return all
}

// trace returns the calls of a run without a fault.
func trace(t *testing.T, name string, s store, prepared string) (calls []call) {
	t.Helper()
	dir := newDir(t, prepared)
	tr := &tracer{dir: dir, decide: func(c call) action {
		if s.counts == nil || s.counts(c) {
			calls = append(calls, c)
		}
		return action{}
	}}
	s.check(t, dir, child(t, name, dir, tr))
	if len(calls) < 3 {
		t.Fatalf("the calls are %v", calls)
	}
	return calls
}

// attempt runs a store with a fault. It returns false if the fault did not happen.
func attempt(t *testing.T, name string, s store, prepared string, o one) (happened bool) {
	t.Helper()
	var dir string
	var out *outcome
	for tries := 0; tries < 3 && !happened; tries++ {
		dir = newDir(t, prepared)
		d, err := newDisk(dir)
		if err != nil {
			t.Fatal(err)
		}
		out = child(t, name, dir, &tracer{dir: dir, decide: o.decide(&happened), disk: d})
		if o.fault.cut && happened {
			if err := d.cut(generator(name + " " + o.String())); err != nil {
				t.Fatal(err)
			}
		}
	}
	if !happened {
		return false
	}
	out.fault = o.fault
	s.check(t, dir, out)
	if t.Failed() {
		t.Logf("the child printed %q, log:\n%s", out.lines, out.log)
		t.Logf("to repeat: %s", repeat(t.Name()))
	}
	return true
}

// newDir returns a copy of a directory. It keeps the times of files, which tell how long
// ago a process has died.
func newDir(t *testing.T, prepared string) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err == nil {
		err = os.CopyFS(dir, os.DirFS(prepared))
	}
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(prepared, func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == prepared {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		return os.Chtimes(filepath.Join(dir, strings.TrimPrefix(path, prepared)), info.ModTime(), info.ModTime())
	})
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// child runs the store in a child process.
func child(t *testing.T, name, dir string, tr *tracer) *outcome {
	t.Helper()
	logs := t.TempDir()
	open := func(name string) *os.File {
		f, err := os.Create(filepath.Join(logs, name))
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	stdout, stderr := open("stdout"), open("stderr")
	defer stdout.Close()
	defer stderr.Close()
	cmd := exec.CommandContext(t.Context(), os.Args[0], dir) //nolint:gosec // this program
	cmd.Env = append(os.Environ(), storeVariable+"="+name)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	ws, err := tr.run(cmd, time.Minute)
	log, _ := os.ReadFile(stderr.Name())
	if err != nil {
		t.Fatalf("%v, log:\n%s", err, log)
	}
	o := &outcome{killed: ws.Signaled() && ws.Signal() == syscall.SIGKILL, log: string(log)}
	if !o.killed && ws.ExitStatus() != 0 {
		t.Fatalf("the child exited with status %d, log:\n%s", ws.ExitStatus(), log)
	}
	if _, err := stdout.Seek(0, 0); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		o.lines = append(o.lines, lines.Text())
	}
	return o
}
