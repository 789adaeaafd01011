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

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/spool"
	"github.com/gmpulse/gmpulse/internal/testutil"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// A Shutdown whose backend is down uses all of shortDeadline. No test reaches
// longDeadline unless it fails.
const (
	shortDeadline = 500 * time.Millisecond
	longDeadline  = 30 * time.Second
)

// leaveStore leaves a store in dir with snapshots numbered from to until, each with an
// event.
func leaveStore(t testing.TB, dir string, from, until int) {
	t.Helper()
	b := &backend{}
	b.does(down)
	x, _ := newSpool(t, b, spool.Config{Dir: dir})
	for seq := from; seq <= until; seq++ {
		export(t, x, snapshot(seq, "e"))
	}
	syncSpool(t, x)
	s := stop(t, x, shortDeadline)
	if n := uint64(until - from + 1); s.Snapshots.Pending < n || !s.Spool.OnDisk {
		t.Fatalf("the store should have %d records: %+v", n, s)
	}
}

// sequence returns what seqs returns after the delivery of 1 to until.
func sequence(until int) string {
	b := &backend{}
	for seq := 1; seq <= until; seq++ {
		b.got = append(b.got, snapshot(seq, "e"))
	}
	return b.seqs()
}

// runOnce starts a spool on dir, exports one snapshot and shuts the spool down.
func runOnce(t testing.TB, dir string, seq int) (got string, s exporters.Stats, log string) {
	t.Helper()
	b := &backend{}
	x, l := newSpool(t, b, spool.Config{Dir: dir})
	export(t, x, snapshot(seq, "e"))
	s = stop(t, x, longDeadline)
	return b.seqs(), s, l.String()
}

// The records of an earlier process are delivered first and count as accepted and recovered.
func TestRestartDeliversTheStoreFirst(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "when needed")
	leaveStore(t, dir, 1, 50)
	for path, want := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, "exporter.db"): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v, want %v", path, info.Mode(), err, want)
		}
	}
	leaveStore(t, dir, 51, 60)
	got, s, log := runOnce(t, dir, 61)
	if want := sequence(61); got != want {
		t.Errorf("delivered %s\nwant %s", got, want)
	}
	if s.Snapshots.Recovered != 60 || s.Events.Recovered != 60 || s.Snapshots.Accepted != 61 || s.Snapshots.Delivered != 61 || !strings.Contains(log, "snapshots=60") {
		t.Errorf("%+v, log:\n%s", s, log)
	}
	if left := files(t, dir); left != "[]" {
		t.Errorf("files left after delivery: %s", left)
	}
}

// The test copies the directory while the process runs, as a kill would leave it. Package
// internal/e2e kills real processes.
func TestSyncedRecordsSurviveTheProcess(t *testing.T) {
	dir, copied := t.TempDir(), t.TempDir()
	b := &backend{}
	b.does(down)
	x, _ := newSpool(t, b, spool.Config{Dir: dir})
	for seq := 1; seq <= 20; seq++ {
		export(t, x, snapshot(seq, "e"))
	}
	syncSpool(t, x)
	data, err := os.ReadFile(filepath.Join(dir, "exporter.db"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(copied, "exporter.db"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	stop(t, x, shortDeadline)
	if got, s, _ := runOnce(t, copied, 21); got != sequence(21) || s.Snapshots.Recovered != 20 {
		t.Errorf("delivered %s, %+v", got, s)
	}
}

func TestNothingIsWrittenWhileTheBackendKeepsUp(t *testing.T) {
	dir := t.TempDir()
	b := &backend{}
	x, _ := newSpool(t, b, spool.Config{Dir: dir})
	export(t, x, snapshot(1))
	testutil.Eventually(t, "the store is open", func() bool { return balanced(t, x).Spool.OnDisk })
	read := func() string {
		data, err := os.ReadFile(filepath.Join(dir, "exporter.db"))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	testutil.Eventually(t, "the first one is delivered", func() bool { return balanced(t, x).Snapshots.Pending == 0 })
	time.Sleep(10 * time.Millisecond) // a transaction under way
	before := read()
	slow := 0
	for seq := 2; seq <= 200; seq++ {
		begin := time.Now()
		export(t, x, snapshot(seq, "e"))
		syncSpool(t, x)
		if time.Since(begin) > 10*time.Millisecond {
			slow++ // on a busy machine the store may have been written
		}
	}
	if after := read(); after != before && slow == 0 {
		t.Error("the store was written to although the backend kept up")
	}
	if s := stop(t, x, longDeadline); s.Snapshots.Delivered != 200 {
		t.Errorf("%+v", s)
	}
}

// Two processes use one directory. A third delivers what both have left.
func TestProcessesShareADirectory(t *testing.T) {
	dir := t.TempDir()
	b1, b2 := &backend{}, &backend{}
	b1.does(down)
	b2.does(down)
	x1, _ := newSpool(t, b1, spool.Config{Dir: dir})
	export(t, x1, snapshot(1, "e"))
	syncSpool(t, x1)
	x2, _ := newSpool(t, b2, spool.Config{Dir: dir})
	export(t, x2, snapshot(2, "e"))
	syncSpool(t, x2)
	if s1, s2 := balanced(t, x1), balanced(t, x2); !s1.Spool.OnDisk || !s2.Spool.OnDisk || s2.Snapshots.Recovered != 0 {
		t.Errorf("%+v and %+v", s1, s2)
	}
	if got := files(t, dir); got != "[exporter.2.db exporter.db]" {
		t.Errorf("files %s", got)
	}
	stop(t, x2, shortDeadline)
	stop(t, x1, shortDeadline)
	got, s, _ := runOnce(t, dir, 3)
	if got != sequence(3) || s.Snapshots.Recovered != 2 {
		t.Errorf("delivered %s, %+v", got, s)
	}
	if left := files(t, dir); left != "[]" {
		t.Errorf("files left after delivery: %s", left)
	}
}

// Beyond the limit of processes a spool works in memory and reports why.
func TestTooManyProcessesUseMemory(t *testing.T) {
	dir := t.TempDir()
	var all []*spool.Exporter
	for range 17 {
		b := &backend{}
		b.does(down)
		x, _ := newSpool(t, b, spool.Config{Dir: dir})
		export(t, x, snapshot(1))
		testutil.Eventually(t, "the disk is tried", func() bool { s := balanced(t, x).Spool; return s.OnDisk || s.DiskError != "" })
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

// The oldest records are dropped beyond MaxBytes. The file may exceed the limit: it grows by
// 1 MiB at a time, and each of these records leaves half a page unused.
func TestMaxBytesLimitsTheFile(t *testing.T) {
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
			syncSpool(t, x)
		}
	}
	s := balanced(t, x)
	if n := s.Snapshots.Dropped(exporters.DropOverflow); n == 0 || s.Spool.Bytes > most || s.Snapshots.Pending < most/2/2500 {
		t.Errorf("%+v, %+v", s, s.Spool)
	}
	info, err := os.Stat(filepath.Join(dir, "exporter.db"))
	if err != nil || info.Size() > 2*most+2<<20 {
		t.Errorf("the file has %d bytes for %d of records (%v)", info.Size(), s.Spool.Bytes, err)
	}
	stop(t, x, shortDeadline)
	got, after, _ := runOnce(t, dir, all+1)
	if n := uint64(strings.Count(got, " ") + 1); n != s.Snapshots.Pending+1 || after.Snapshots.Recovered != s.Snapshots.Pending || !strings.Contains(got, " 1000 1001") {
		t.Errorf("%d delivered, %d were pending", n, s.Snapshots.Pending)
	}
}

func TestRelativeDirectoryIsResolvedByNew(t *testing.T) {
	home := t.TempDir()
	t.Chdir(home)
	b := &backend{}
	b.does(down)
	x, _ := newSpool(t, b, spool.Config{Dir: "queue"})
	t.Chdir(t.TempDir())
	export(t, x, snapshot(1))
	syncSpool(t, x)
	stop(t, x, shortDeadline)
	if got := files(t, filepath.Join(home, "queue")); got != "[exporter.db]" {
		t.Error(got)
	}
}

// The file has the refused snapshot and the error.
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
	testutil.Eventually(t, "the bad record is a dead letter", func() bool {
		seq++
		export(t, x, snapshot(seq, "e"))
		s := balanced(t, x)
		return s.Snapshots.Dropped(exporters.DropDeadLetter) == 1
	})
	stop(t, x, longDeadline)
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

// The clock jumps by a year between two processes. The records are neither kept for ever nor
// dropped; one from the future counts as new.
func TestRecordsOutliveAClockChange(t *testing.T) {
	dir := t.TempDir()
	leaveStore(t, dir, 1, 3)
	b := &backend{}
	x, _ := newSpool(t, b, spool.Config{Dir: dir})
	past := snapshot(4, "e")
	past.Time = past.Time.AddDate(-1, 0, 0)
	export(t, x, past)
	if s := stop(t, x, longDeadline); b.seqs() != sequence(4) || s.Snapshots.Lost() != 0 {
		t.Errorf("delivered %s, %+v", b.seqs(), s)
	}
}
