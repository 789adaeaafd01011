// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/evidence"
	"github.com/gmpulse/gmpulse/exporters/exporttest"
	"github.com/gmpulse/gmpulse/exporters/jsonl"
	"github.com/gmpulse/gmpulse/exporters/spool"
	"github.com/gmpulse/gmpulse/internal/manifest"
	"github.com/gmpulse/gmpulse/runtimeinfo"
	"github.com/gmpulse/gmpulse/runtimeinfo/baseline"
)

// stores has everything that gmpulse writes to disk.
var stores = map[string]store{
	"spool":    {write: writeSpool, check: checkSpool},
	"state":    {prepare: prepareState, write: writeState, check: checkState},
	"evidence": {prepare: prepareEvidence, write: writeEvidence, check: checkEvidence},
	"jsonl":    {write: writeJSONL, check: checkJSONL},
	"syncs":    {write: writeSyncs},
}

func TestSpoolOnFailingDisk(t *testing.T)    { test(t, "spool", 8) }
func TestStateOnFailingDisk(t *testing.T)    { test(t, "state", 10) }
func TestEvidenceOnFailingDisk(t *testing.T) { test(t, "evidence", 6) }
func TestJSONLOnFailingDisk(t *testing.T)    { test(t, "jsonl", 10) }

// say prints what was promised. It is written at once, so that a kill does not lose it.
func say(format string, args ...any) { fmt.Printf(format+"\n", args...) }

// must ends the child, which the test reports with the log.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

func logger() *slog.Logger { return slog.New(slog.NewTextHandler(os.Stderr, nil)) }

func snapshot(seq int) *runtimeinfo.Snapshot {
	s := exporttest.Snapshot()
	s.Seq, s.Time = uint64(seq), time.Now()
	return s
}

// The child's backend hangs until 12 records are accepted, then takes the first, the third
// and the fourth, refuses the second, and fails from the fifth on.
func writeSpool(dir string) {
	release := make(chan struct{})
	backend := exporters.Func(func(ctx context.Context, s *runtimeinfo.Snapshot) error {
		select {
		case <-release:
		case <-ctx.Done():
			return ctx.Err()
		}
		switch {
		case s.Seq == 2:
			say("refused 2")
			return &exporters.RejectedError{Snapshot: true, Err: errors.New("test")}
		case s.Seq > 4:
			return errors.New("down")
		}
		say("delivered %d", s.Seq)
		return nil
	})
	x, err := spool.New(backend, spool.Config{Dir: dir, Logger: logger(), Timeout: time.Minute})
	must(err)
	for seq := 1; seq <= 12; seq++ {
		must(x.Export(context.Background(), snapshot(seq)))
		if seq%3 != 0 {
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
		if x.Sync(ctx) == nil {
			say("synced %d", seq)
		}
		cancel()
	}
	close(release)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if err := x.Shutdown(ctx); err != nil {
		say("shutdown %v", err)
	}
	stats := x.ExporterStats()
	text, err := json.Marshal(counts{stats.Snapshots, stats.Snapshots.Lost(), stats.Spool.Unsaved, stats.Spool.DiskError})
	must(err)
	say("counts %s", text)
}

// counts are the statistics of a spool.
type counts struct {
	exporters.Account
	Dropped   uint64
	Unsaved   uint64
	DiskError string
}

func checkSpool(t *testing.T, dir string, o *outcome) {
	t.Helper()
	var mu sync.Mutex
	got := map[uint64]int{}
	backend := exporters.Func(func(_ context.Context, s *runtimeinfo.Snapshot) error {
		mu.Lock()
		defer mu.Unlock()
		got[s.Seq]++
		return nil
	})
	var log bytes.Buffer
	x, err := spool.New(backend, spool.Config{Dir: dir, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	if err := x.Export(t.Context(), snapshot(100)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := x.Shutdown(ctx); err != nil {
		t.Errorf("the next process: %v", err)
	}
	next := x.ExporterStats()
	if a := next.Snapshots; !balanced(a) || a.Pending != 0 || got[100] != 1 {
		t.Errorf("the next process: %+v", a)
	}
	delivered := map[string]bool{}
	for _, seq := range slices.Concat(o.has("delivered"), o.has("refused")) {
		delivered[seq] = true
	}
	synced := 0
	for _, seq := range o.has("synced") {
		synced, _ = strconv.Atoi(seq)
	}
	// A killed process may lose what was not synced, and nothing else. If a disk confirms a
	// write and loses it, records are lost, but they are counted or the log has a line.
	damage := o.fault.lies && (strings.Contains(log.String()+o.log, "damaged") || next.Snapshots.Lost() > 0)
	for seq := 1; seq <= synced && !damage; seq++ {
		if !delivered[strconv.Itoa(seq)] && got[uint64(seq)] == 0 {
			t.Errorf("record %d was synced and is lost; the next process: %+v, log:\n%s", seq, next.Snapshots, log.String())
		}
	}
	if o.killed {
		return
	}
	var c counts
	if all := o.has("counts"); len(all) != 1 || json.Unmarshal([]byte(all[0]), &c) != nil {
		t.Fatalf("the counts are %q", all)
	}
	if c.Accepted != 12 || c.Accepted != c.Delivered+c.Dropped+c.Pending {
		t.Errorf("the counts do not add up: %+v", c)
	}
	// Pending records are on disk, or the counts say that they are not. Some may come twice.
	if missing := int64(c.Pending) - int64(next.Snapshots.Recovered); missing > int64(c.Unsaved) && !damage {
		t.Errorf("%+v; the next process found %d", c, next.Snapshots.Recovered)
	}
	if (c.Unsaved > 0 || c.Dropped > 1) && c.DiskError == "" { // one was refused by the backend
		t.Errorf("records are lost without an error: %+v", c)
	}
}

func balanced(a exporters.Account) bool { return a.Accepted == a.Delivered+a.Lost()+a.Pending }

// learnt is how many ticks the state of prepareState has seen.
const learnt = 400

func statePath(dir string) string { return filepath.Join(dir, "baselines") }

// save makes a Watch that has seen some ticks and lets it save its state.
func save(dir string, ticks int, l *slog.Logger) (bands []runtimeinfo.Band) {
	w, err := baseline.New(baseline.Config{StateFile: statePath(dir), Logger: l})
	must(err)
	for i := range ticks {
		s := exporttest.Snapshot()
		s.Seq, s.Time = s.Seq+uint64(i), s.Time.Add(time.Duration(i)*time.Second)
		bands, _ = w.Judge(s)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	w.Run(ctx)
	return bands
}

func prepareState(t *testing.T, dir string) {
	t.Helper()
	if bands := save(dir, learnt, logger()); len(bands) == 0 || bands[0].Learning {
		t.Fatalf("nothing was learnt: %+v", bands)
	}
}

// Three processes after each other read the state and save it.
func writeState(dir string) {
	for range 3 {
		save(dir, 1, logger())
	}
}

func checkState(t *testing.T, dir string, o *outcome) {
	t.Helper()
	var log bytes.Buffer
	bands := save(dir, 90, slog.New(slog.NewTextHandler(&log, nil)))
	// A disk that lies may leave a damaged file, which the log names.
	if o.fault.lies && strings.Contains(log.String()+o.log, "start without a state") {
		return
	}
	if len(bands) == 0 || bands[0].Learning {
		t.Errorf("what was learnt is lost, log of the next process:\n%s", log.String())
	}
	if text := log.String(); text != "" && !strings.Contains(text, "another process is writing it") {
		t.Errorf("log of the next process:\n%s", text)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 2 {
		t.Errorf("files left: %v, %v", left, err)
	}
}

func newEvidence(dir string, l *slog.Logger) *evidence.Store {
	s, err := evidence.New(evidence.Config{Dir: dir, MinFree: 1, ProfileFor: time.Millisecond, Logger: l})
	must(err)
	return s
}

// capture takes a bundle and returns its directory, or the error.
func capture(s *evidence.Store) (string, error) {
	must(s.Export(context.Background(), snapshot(1)))
	return s.Capture(context.Background(), "test")
}

func prepareEvidence(t *testing.T, dir string) {
	t.Helper()
	if _, err := capture(newEvidence(dir, logger())); err != nil {
		t.Fatal(err)
	}
}

func writeEvidence(dir string) {
	s := newEvidence(dir, logger())
	for range 2 {
		id, err := capture(s)
		if err != nil {
			say("failed %v", err)
			continue
		}
		if _, err := fs.Stat(s, id+"/"+manifest.Name); err != nil {
			say("unreadable %s: %v", id, err)
		}
		say("made %s", id)
	}
	must(s.Shutdown(context.Background()))
}

func checkEvidence(t *testing.T, dir string, o *outcome) {
	t.Helper()
	s := newEvidence(dir, slog.New(slog.DiscardHandler))
	defer func() { _ = s.Shutdown(context.Background()) }()
	if _, err := capture(s); err != nil {
		t.Errorf("the next process: %v", err)
	}
	found := map[string]bool{}
	entries, err := fs.ReadDir(s, ".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		found[e.Name()] = true
		if !o.fault.lies {
			complete(t, s, e.Name())
		}
	}
	made := o.has("made")
	if len(found) < 2 { // that of prepareEvidence and the new one
		t.Errorf("old bundles are lost: %v", entries)
	}
	inMemory := strings.Contains(o.log, "in memory")
	for _, id := range made {
		if !found[id] && !inMemory && !o.fault.cut {
			t.Errorf("bundle %s is lost", id)
		}
	}
	if !o.killed && len(made)+len(o.has("failed")) != 2 {
		t.Error("a capture has no result")
	}
	if bad := o.has("unreadable"); len(bad) > 0 && o.fault.at.fail == 0 {
		t.Errorf("made but not readable: %v", bad)
	}
}

// complete checks that a bundle has all files of its manifest.
func complete(t *testing.T, s fs.FS, id string) {
	t.Helper()
	sub, err := fs.Sub(s, id)
	if err != nil {
		t.Fatal(err)
	}
	m, err := manifest.Read(sub)
	if err != nil {
		t.Errorf("bundle %s: %v", id, err)
		return
	}
	for _, f := range m.Files {
		b, err := fs.ReadFile(sub, f.Name)
		if err != nil || len(b) != f.Bytes {
			t.Errorf("bundle %s: %s has %d bytes, want %d: %v", id, f.Name, len(b), f.Bytes, err)
		} else if strings.HasSuffix(f.Name, ".gz") && !bytes.HasPrefix(b, []byte{0x1f, 0x8b}) {
			t.Errorf("bundle %s: the contents of %s are lost", id, f.Name)
		}
	}
}

func newJSONL(dir string) *jsonl.Exporter {
	x, err := jsonl.New(jsonl.Config{Path: filepath.Join(dir, "gmpulse.jsonl"), MaxBytes: 8 << 10, MaxFiles: 20})
	must(err)
	return x
}

func writeJSONL(dir string) {
	x := newJSONL(dir)
	for seq := 1; seq <= 12; seq++ {
		if err := x.Export(context.Background(), snapshot(seq)); err != nil {
			say("failed %d %v", seq, err)
		} else {
			say("written %d", seq)
		}
	}
	if err := x.Shutdown(context.Background()); err != nil {
		say("shutdown %v", err)
	}
}

func checkJSONL(t *testing.T, dir string, o *outcome) {
	t.Helper()
	x := newJSONL(dir)
	for seq := 100; seq < 102; seq++ {
		if err := x.Export(t.Context(), snapshot(seq)); err != nil {
			t.Errorf("the next process: %v", err)
		}
	}
	if err := x.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	seqs, broken := readLines(t, dir)
	uncertain := o.fault.lies || o.fault.cut // the exporter does not sync
	for _, seq := range o.has("written") {
		if n := seqs[seq]; n != 1 && (n != 0 || !uncertain) {
			t.Errorf("record %s is there %d times", seq, n)
		}
	}
	if seqs["100"] != 1 || seqs["101"] != 1 {
		t.Error("the records of the next process are not in the files")
	}
	for _, line := range o.has("failed") {
		seq, _, _ := strings.Cut(line, " ")
		if seqs[seq] > 1 {
			t.Errorf("failed record %s is there %d times", seq, seqs[seq])
		}
	}
	// A process that is killed in a write leaves an incomplete line, and so does a disk
	// that dies in one.
	if len(broken) > 1 && !uncertain || len(broken) > 0 && !o.killed && !o.fault.all && !uncertain {
		t.Errorf("%d lines are broken: %.300q", len(broken), broken)
	}
	if !o.killed && len(o.has("written"))+len(o.has("failed")) != 12 {
		t.Error("a record has no result")
	}
}

// readLines returns how often each record is in the files, and the lines that are none.
func readLines(t *testing.T, dir string) (seqs map[string]int, broken []string) {
	t.Helper()
	seqs = map[string]int{}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(b)) {
			var record struct{ Seq json.Number }
			if err := json.Unmarshal([]byte(line), &record); err != nil {
				broken = append(broken, line)
				continue
			}
			seqs[record.Seq.String()]++
		}
	}
	return seqs, broken
}
