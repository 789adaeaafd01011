// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// storeVariable names the store that a child process writes.
const storeVariable = "GMPULSE_FAULTS_STORE"

func TestMain(m *testing.M) {
	if name := os.Getenv(storeVariable); name != "" {
		stores[name].write(os.Args[len(os.Args)-1])
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// store is a part of gmpulse that writes files.
type store struct {
	// prepare fills the directory before the child starts; may be nil.
	prepare func(t *testing.T, dir string)
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
	all  bool          // later calls that write fail as well
	cut  bool          // the power fails
	lies bool          // the disk confirms what it did not do
}

// faults are all that can go wrong.
var faults = []fault{
	{name: "error", fits: func(call) bool { return true }, at: action{fail: syscall.EIO}},
	{name: "disk full", fits: func(c call) bool { return !c.isRead() && c.name != "unlink" }, at: action{fail: syscall.ENOSPC}},
	{name: "disk dies", fits: func(c call) bool { return !c.isRead() || c.isSync() }, at: action{fail: syscall.EIO}, all: true},
	{name: "torn write", fits: call.isWrite, at: action{shorten: true}, next: syscall.ENOSPC},
	{name: "lost write", fits: call.isWrite, at: action{lose: true}, lies: true},
	{name: "killed", fits: func(c call) bool { return !c.isRead() }, at: action{kill: true}},
	{name: "killed in a write", fits: call.isWrite, at: action{kill: true, shorten: true}},
	{name: "power", fits: func(c call) bool { return !c.isRead() || c.isSync() }, at: action{kill: true}, cut: true},
	{name: "power in a write", fits: call.isWrite, at: action{kill: true, shorten: true}, cut: true},
	{name: "slow", fits: func(c call) bool { return c.isWrite() || c.isSync() }, at: action{delay: 300 * time.Millisecond}},
}

// one is a fault at the n-th call of a store.
type one struct {
	n     int
	call  call
	fault fault
}

func (o one) String() string { return fmt.Sprintf("%s at call %d, %s", o.fault.name, o.n, o.call) }

// decide returns a function for a tracer that makes the fault happen.
func (o one) decide() func(int, call) action {
	happened, path := false, ""
	return func(n int, c call) action {
		switch {
		case n == o.n:
			happened, path = true, c.path
			if o.fault.fits(c) {
				return o.fault.at
			}
		case happened && o.fault.all && o.fault.fits(c):
			return o.fault.at
		case happened && o.fault.next != 0 && c.isWrite() && c.path == path:
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
	s := stores[name]
	calls := trace(t, name, s)
	var all []one
	for n, c := range calls {
		for _, f := range faults {
			if f.fits(c) {
				all = append(all, one{n, c, f})
			}
		}
	}
	if os.Getenv("GMPULSE_FAULTS") != "full" {
		r := rand.New(rand.NewPCG(16, 1)) //nolint:gosec // a test
		r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		t.Logf("%d of %d combinations of %d calls and a fault", min(some, len(all)), len(all), len(calls))
		all = all[:min(some, len(all))]
	} else {
		t.Logf("all %d combinations of %d calls and a fault", len(all), len(calls))
	}
	for _, o := range all {
		t.Run(o.String(), func(t *testing.T) { attempt(t, name, s, o) })
	}
}

// trace returns the calls of a run without a fault.
func trace(t *testing.T, name string, s store) (calls []call) {
	t.Helper()
	dir := newDir(t, s)
	tr := &tracer{dir: dir, decide: func(_ int, c call) action { calls = append(calls, c); return action{} }}
	s.check(t, dir, child(t, name, dir, tr))
	if len(calls) < 3 {
		t.Fatalf("the calls are %v", calls)
	}
	return calls
}

func attempt(t *testing.T, name string, s store, o one) {
	t.Helper()
	dir := newDir(t, s)
	d, err := newDisk(dir)
	if err != nil {
		t.Fatal(err)
	}
	out := child(t, name, dir, &tracer{dir: dir, decide: o.decide(), done: d.made})
	out.fault = o.fault
	if o.fault.at.kill && out.killed && o.fault.cut {
		if err := d.cut(rand.New(rand.NewPCG(uint64(o.n), 2))); err != nil { //nolint:gosec // a test
			t.Fatal(err)
		}
	}
	s.check(t, dir, out)
	if t.Failed() {
		t.Logf("the child printed %q, log:\n%s", out.lines, out.log)
	}
}

func newDir(t *testing.T, s store) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if s.prepare != nil {
		s.prepare(t, dir)
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
