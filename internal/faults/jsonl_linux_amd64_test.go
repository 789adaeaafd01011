// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gmpulse/gmpulse/exporters/jsonl"
)

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
