// SPDX-License-Identifier: Apache-2.0

package spool_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/exporters/spool"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// impatient is a deadline for a spool whose backend is down: it uses all of it.
// patient is one that comes only where something is wrong.
const (
	impatient = 500 * time.Millisecond
	patient   = 30 * time.Second
)

// leave makes a directory with a store of the snapshots from and until, with an
// event each, that a process has left.
func leave(t testing.TB, dir string, from, until int) {
	t.Helper()
	b := &backend{}
	b.does(down)
	x, _ := newSpool(t, b, spool.Config{Dir: dir})
	for seq := from; seq <= until; seq++ {
		export(t, x, snapshot(seq, "e"))
	}
	safe(t, x)
	s := stop(t, x, impatient)
	if n := uint64(until - from + 1); s.Snapshots.Pending < n || !s.Spool.OnDisk {
		t.Fatalf("%d were to be left: %+v", n, s)
	}
}

// sequence is what a backend got that was given 1 to until.
func sequence(until int) string {
	b := &backend{}
	for seq := 1; seq <= until; seq++ {
		b.got = append(b.got, snapshot(seq, "e"))
	}
	return b.seqs()
}

// drain starts a spool on a directory, gives it one snapshot, and stops it.
func drain(t testing.TB, dir string, seq int) (got string, s runtimeinfo.ExporterStats, log string) {
	t.Helper()
	b := &backend{}
	x, l := newSpool(t, b, spool.Config{Dir: dir})
	export(t, x, snapshot(seq, "e"))
	s = stop(t, x, patient)
	return b.seqs(), s, l.String()
}

// What a process leaves goes first in the next one, and is part of its account.
func TestRestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "when needed")
	leave(t, dir, 1, 50)
	for path, want := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, "exporter.db"): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v, want %v", path, info.Mode(), err, want)
		}
	}
	leave(t, dir, 51, 60)
	got, s, log := drain(t, dir, 61)
	if want := sequence(61); got != want {
		t.Errorf("delivered %s\nwant %s", got, want)
	}
	if s.Snapshots.Recovered != 60 || s.Events.Recovered != 60 || s.Snapshots.Accepted != 61 || s.Snapshots.Delivered != 61 || !strings.Contains(log, "snapshots=60") {
		t.Errorf("%+v, log:\n%s", s, log)
	}
	if left := files(t, dir); left != "[]" {
		t.Errorf("after all was delivered there is %s", left)
	}
}

// A process that is killed leaves everything that Export has returned for. The
// test copies the directory at that moment; internal/e2e kills real ones.
func TestNothingIsLostWithTheProcess(t *testing.T) {
	dir, copied := t.TempDir(), t.TempDir()
	b := &backend{}
	b.does(down)
	x, _ := newSpool(t, b, spool.Config{Dir: dir})
	for seq := 1; seq <= 20; seq++ {
		export(t, x, snapshot(seq, "e"))
	}
	safe(t, x)
	data, err := os.ReadFile(filepath.Join(dir, "exporter.db"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(copied, "exporter.db"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	stop(t, x, impatient)
	if got, s, _ := drain(t, copied, 21); got != sequence(21) || s.Snapshots.Recovered != 20 {
		t.Errorf("delivered %s, %+v", got, s)
	}
}

// While the backend keeps up nothing is written.
func TestDiskIsLeftInPeace(t *testing.T) {
	dir := t.TempDir()
	b := &backend{}
	x, _ := newSpool(t, b, spool.Config{Dir: dir})
	export(t, x, snapshot(1))
	eventually(t, "the store is open", func() bool { return balanced(t, x).Spool.OnDisk })
	read := func() string {
		data, err := os.ReadFile(filepath.Join(dir, "exporter.db"))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	eventually(t, "the first one is delivered", func() bool { return balanced(t, x).Snapshots.Pending == 0 })
	time.Sleep(10 * time.Millisecond) // a transaction under way
	before := read()
	slow := 0
	for seq := 2; seq <= 200; seq++ {
		begin := time.Now()
		export(t, x, snapshot(seq, "e"))
		safe(t, x)
		if time.Since(begin) > 10*time.Millisecond {
			slow++ // a busy machine: the disk may have been asked
		}
	}
	if after := read(); after != before && slow == 0 {
		t.Error("the store was written to although the backend kept up")
	}
	if s := stop(t, x, patient); s.Snapshots.Delivered != 200 {
		t.Errorf("%+v", s)
	}
}

// Two processes on one directory, and a third that finds what both have left.
func TestTwoProcesses(t *testing.T) {
	dir := t.TempDir()
	b1, b2 := &backend{}, &backend{}
	b1.does(down)
	b2.does(down)
	x1, _ := newSpool(t, b1, spool.Config{Dir: dir})
	export(t, x1, snapshot(1, "e"))
	safe(t, x1)
	x2, _ := newSpool(t, b2, spool.Config{Dir: dir})
	export(t, x2, snapshot(2, "e"))
	safe(t, x2)
	if s1, s2 := balanced(t, x1), balanced(t, x2); !s1.Spool.OnDisk || !s2.Spool.OnDisk || s2.Snapshots.Recovered != 0 {
		t.Errorf("%+v and %+v", s1, s2)
	}
	if got := files(t, dir); got != "[exporter.2.db exporter.db]" {
		t.Errorf("files %s", got)
	}
	stop(t, x2, impatient)
	stop(t, x1, impatient)
	got, s, _ := drain(t, dir, 3)
	if got != sequence(3) || s.Snapshots.Recovered != 2 {
		t.Errorf("delivered %s, %+v", got, s)
	}
	if left := files(t, dir); left != "[]" {
		t.Errorf("after all was delivered there is %s", left)
	}
}

// Beyond the most processes that may share a directory the disk is of no use; the
// stream goes on, and says why.
func TestTooManyProcesses(t *testing.T) {
	dir := t.TempDir()
	var all []*spool.Exporter
	for range 17 {
		b := &backend{}
		b.does(down)
		x, _ := newSpool(t, b, spool.Config{Dir: dir})
		export(t, x, snapshot(1))
		eventually(t, "the disk is tried", func() bool { s := balanced(t, x).Spool; return s.OnDisk || s.DiskError != "" })
		all = append(all, x)
	}
	if s := balanced(t, all[16]); s.Spool.OnDisk || !strings.Contains(s.Spool.DiskError, "give each its own directory") {
		t.Errorf("%+v", s.Spool)
	}
	var wg sync.WaitGroup
	for _, x := range all {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 2*time.Second)
			defer cancel()
			_ = x.Shutdown(ctx)
		})
	}
	wg.Wait()
}

// The oldest give way on disk too, and the file stays within reach of the bound:
// it grows by 1 MiB at a time, and each of these records fills half a page more.
func TestDiskIsBounded(t *testing.T) {
	dir := t.TempDir()
	const most = 512 << 10
	b := &backend{}
	b.does(down)
	x, _ := newSpool(t, b, spool.Config{Dir: dir, MaxBytes: most})
	long := strings.Repeat("x", 2000)
	const all = 1000
	for seq := 1; seq <= all; seq++ {
		s := snapshot(seq)
		s.Resource = []runtimeinfo.Attr{{Key: "k", Value: long}}
		export(t, x, s)
		if seq%5 == 0 { // small transactions, as in an outage
			safe(t, x)
		}
	}
	s := balanced(t, x)
	if n := s.Snapshots.Dropped[runtimeinfo.DropOverflow]; n == 0 || s.Spool.Bytes > most || s.Snapshots.Pending < most/2/2500 {
		t.Errorf("%+v, %+v", s, s.Spool)
	}
	info, err := os.Stat(filepath.Join(dir, "exporter.db"))
	if err != nil || info.Size() > 2*most+2<<20 {
		t.Errorf("the file has %d bytes for %d of records (%v)", info.Size(), s.Spool.Bytes, err)
	}
	stop(t, x, impatient)
	got, after, _ := drain(t, dir, all+1)
	if n := uint64(strings.Count(got, " ") + 1); n != s.Snapshots.Pending+1 || after.Snapshots.Recovered != s.Snapshots.Pending || !strings.Contains(got, " 1000 1001") {
		t.Errorf("%d delivered, %d were pending", n, s.Snapshots.Pending)
	}
}

// A relative directory is that of New, wherever the program goes afterwards.
func TestRelativeDirectory(t *testing.T) {
	home := t.TempDir()
	t.Chdir(home)
	b := &backend{}
	b.does(down)
	x, _ := newSpool(t, b, spool.Config{Dir: "queue"})
	t.Chdir(t.TempDir())
	export(t, x, snapshot(1))
	safe(t, x)
	stop(t, x, impatient)
	if got := files(t, filepath.Join(home, "queue")); got != "[exporter.db]" {
		t.Error(got)
	}
}

// The dead letters say what was refused, and why.
func TestDeadLetterFile(t *testing.T) {
	dir := t.TempDir()
	b := &backend{}
	b.does(func(_ context.Context, s *runtimeinfo.Snapshot) error {
		if s.Seq == 2 {
			return errors.New("connection reset")
		}
		return nil
	})
	x, _ := newSpool(t, b, spool.Config{Dir: dir})
	seq := 0
	eventually(t, "the poison is given up", func() bool {
		seq++
		export(t, x, snapshot(seq, "e"))
		return balanced(t, x).Snapshots.Dropped[runtimeinfo.DropDeadLetter] == 1
	})
	stop(t, x, patient)
	data, err := os.ReadFile(filepath.Join(dir, "exporter.dead.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	var letter struct {
		Error    string
		Snapshot map[string]any
		Events   []map[string]any
	}
	if err := json.Unmarshal(data, &letter); err != nil || letter.Error != "connection reset" || letter.Snapshot["seq"] != 2.0 || len(letter.Events) != 1 {
		t.Errorf("%v in %s", err, data)
	}
}

// The clock was set back by a year while the process was down, or forward: what
// was left is neither kept for ever nor thrown away. A record from the future
// counts as new.
func TestClockSetBack(t *testing.T) {
	dir := t.TempDir()
	leave(t, dir, 1, 3)
	b := &backend{}
	x, _ := newSpool(t, b, spool.Config{Dir: dir})
	past := snapshot(4, "e")
	past.Time = past.Time.AddDate(-1, 0, 0)
	export(t, x, past)
	if s := stop(t, x, patient); b.seqs() != sequence(4) || s.Snapshots.Lost() != 0 {
		t.Errorf("delivered %s, %+v", b.seqs(), s)
	}
}
