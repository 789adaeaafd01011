// SPDX-License-Identifier: Apache-2.0

package spool_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/spool"
	"github.com/gmpulse/gmpulse/internal/testutil"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// failsOnSecond is a backend that fails on the second record and accepts all others.
func failsOnSecond() *backend {
	b := &backend{}
	b.does(func(_ context.Context, s *runtimeinfo.Snapshot) error {
		if s.Seq == 2 {
			return errors.New("connection reset")
		}
		return nil
	})
	return b
}

// A dead letter that cannot be written stays in the spool until it can, and the records
// behind it are delivered.
func TestDeadLetterIsKeptUntilItIsWritten(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "exporter.dead.jsonl")
	if err := os.Mkdir(path, 0o700); err != nil { // in the way
		t.Fatal(err)
	}
	b := failsOnSecond()
	x, log := newSpool(t, b, spool.Config{Dir: dir})
	seq := 0
	more := func(what string, until func() bool) {
		t.Helper()
		testutil.Eventually(t, what, func() bool {
			seq++
			export(t, x, snapshot(seq))
			return until()
		})
	}
	more("an error is logged", func() bool { return strings.Contains(log.String(), "it stays in the spool") })
	delivered := balanced(t, x).Snapshots.Delivered
	more("others are delivered", func() bool { return balanced(t, x).Snapshots.Delivered > delivered+10 })
	if s := balanced(t, x); s.Snapshots.Lost() != 0 {
		t.Errorf("the record is dropped although it could not be written: %+v", s.Snapshots)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	more("the record is a dead letter", func() bool {
		s := balanced(t, x)
		return s.Snapshots.Dropped(exporters.DropDeadLetter) == 1
	})
	stop(t, x, longDeadline)
	if n := strings.Count(log.String(), "it stays in the spool"); n != 1 {
		t.Errorf("the error is logged %d times", n)
	}
	if got := deadLetters(t, path); len(got) != 1 || got[0] != 2 {
		t.Errorf("the dead letters are %v, want 2", got)
	}
}

// A record is not tried for ever.
func TestDeadLetterIsDroppedAfterAnHour(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "exporter.dead.jsonl"), 0o700); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		x, log := newSpool(t, failsOnSecond(), spool.Config{Dir: dir})
		for seq := 1; seq <= 700; seq++ {
			export(t, x, snapshot(seq))
			time.Sleep(10 * time.Second)
			s := balanced(t, x)
			lost, want := s.Snapshots.Dropped(exporters.DropDeadLetter), uint64(0)
			if seq > 400 {
				want = 1
			}
			if (seq < 350 || seq > 400) && lost != want {
				t.Fatalf("after %d snapshots %d are dropped, want %d, log:\n%s", seq, lost, want, log)
			}
		}
		stop(t, x, longDeadline)
	})
}

// A line that is incomplete, because the process was killed in a write, does not spoil the next.
func TestDeadLetterAfterAnIncompleteLine(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "exporter.dead.jsonl")
	const incomplete = `{"time":"2026-01-02T03`
	if err := os.WriteFile(path, []byte(incomplete), 0o600); err != nil {
		t.Fatal(err)
	}
	x, _ := newSpool(t, failsOnSecond(), spool.Config{Dir: dir})
	seq := 0
	testutil.Eventually(t, "the record is a dead letter", func() bool {
		seq++
		export(t, x, snapshot(seq))
		s := balanced(t, x)
		return s.Snapshots.Dropped(exporters.DropDeadLetter) == 1
	})
	stop(t, x, longDeadline)
	if got := deadLetters(t, path); len(got) != 2 || got[0] != -1 || got[1] != 2 {
		t.Errorf("the dead letters are %v, want an incomplete line and 2", got)
	}
}

// deadLetters returns the numbers of the snapshots in a file, with -1 for a line that is not
// a dead letter.
func deadLetters(t *testing.T, path string) (seqs []int) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(b) {
		var letter struct{ Snapshot struct{ Seq int } }
		if err := json.Unmarshal(line, &letter); err != nil {
			letter.Snapshot.Seq = -1
		}
		seqs = append(seqs, letter.Snapshot.Seq)
	}
	return seqs
}
