// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/spool"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

const (
	// deadLetterBytes is the size at which the spool renames the file of dead letters.
	deadLetterBytes = 4 << 20
	// letters is how many records the child exports.
	letters = 16
)

// bad reports whether the backend fails on a record and accepts others.
func bad(seq uint64) bool { return seq == 2 || seq == 3 }

func deadLetterPath(dir string) string { return filepath.Join(dir, "exporter.dead.jsonl") }

// prepareDeadLetters leaves a file of dead letters that has room for one more.
func prepareDeadLetters(t *testing.T, dir string) {
	t.Helper()
	moveDeadLetters(dir, slog.New(slog.DiscardHandler), func(string, ...any) {})
	b, err := os.ReadFile(deadLetterPath(dir))
	if err != nil {
		t.Fatal(err)
	}
	line := bytes.SplitAfter(b, []byte("\n"))[0]
	old := bytes.Replace(line, []byte(`"seq":2,`), []byte(`"seq":0,`), 1)
	if bytes.Equal(old, line) {
		t.Fatalf("the dead letter is %.300q", line)
	}
	n := (deadLetterBytes - len(line)*3/2) / len(line)
	if err := os.WriteFile(deadLetterPath(dir), bytes.Repeat(old, n), 0o600); err != nil {
		t.Fatal(err)
	}
}

// ofDeadLetters reports whether a call is on the file of dead letters. Those on the store
// are the same as without dead letters.
func ofDeadLetters(c call) bool {
	return strings.HasPrefix(filepath.Base(c.path), filepath.Base(deadLetterPath("")))
}

func writeDeadLetters(dir string) { moveDeadLetters(dir, logger(), say) }

// moveDeadLetters exports records of which two become dead letters.
func moveDeadLetters(dir string, l *slog.Logger, say func(format string, args ...any)) {
	up := make(chan struct{})
	backend := exporters.Func(func(ctx context.Context, s *runtimeinfo.Snapshot) error {
		select {
		case <-up:
		case <-ctx.Done():
			return ctx.Err()
		}
		if bad(s.Seq) {
			return errors.New("bad record")
		}
		say("delivered %d", s.Seq)
		return nil
	})
	x, err := spool.New(backend, spool.Config{Dir: dir, Logger: l})
	must(err)
	for seq := 1; seq <= letters; seq++ {
		must(x.Export(context.Background(), snapshot(seq)))
		if synced(x) {
			say("synced %d", seq)
		}
	}
	close(up)
	for begin := time.Now(); x.ExporterStats().Snapshots.Pending > 0 && time.Since(begin) < 10*time.Second; {
		time.Sleep(5 * time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := x.Shutdown(ctx); err != nil {
		say("shutdown %v", err)
	}
}

func checkDeadLetters(t *testing.T, dir string, o *outcome) {
	t.Helper()
	next := deliverRest(t, dir)
	dead, broken := readDeadLetters(t, dir)
	delivered := map[string]bool{}
	for _, seq := range o.has("delivered") {
		delivered[seq] = true
	}
	for _, seq := range o.has("synced") {
		if o.fault.lies {
			break // what the disk confirmed and lost cannot be noticed
		}
		n, _ := strconv.ParseUint(seq, 10, 64)
		if !delivered[seq] && next.got[n] == 0 && dead[n] == 0 {
			t.Errorf("record %s is neither delivered nor a dead letter; the next process: %+v, log:\n%s", seq, next.stats.Snapshots, next.log)
		}
	}
	if dead[0] == 0 {
		t.Error("old dead letters are lost")
	}
	if len(broken) > 1 || len(broken) == 1 && !o.killed && !o.fault.lies {
		t.Errorf("%d lines are broken: %.300q", len(broken), broken)
	}
}

// readDeadLetters returns how often each record is in the files, and the lines that are none.
func readDeadLetters(t *testing.T, dir string) (seqs map[uint64]int, broken [][]byte) {
	t.Helper()
	seqs = map[uint64]int{}
	for _, path := range []string{deadLetterPath(dir), deadLetterPath(dir) + ".1"} {
		b, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		for line := range bytes.Lines(b) {
			var letter struct {
				Error    string
				Snapshot struct{ Seq *uint64 }
			}
			if err := json.Unmarshal(line, &letter); err != nil || letter.Snapshot.Seq == nil {
				broken = append(broken, line)
				continue
			}
			seqs[*letter.Snapshot.Seq]++
		}
	}
	return seqs, broken
}
