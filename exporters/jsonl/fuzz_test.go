// SPDX-License-Identifier: Apache-2.0

package jsonl_test

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/gmpulse/gmpulse/exporters/jsonl"
)

// FuzzFile opens a file with arbitrary contents: the contents stay, and each new record is
// a separate line.
func FuzzFile(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("\n\n"))
	f.Add([]byte("{\"@timestamp\":\"2026-01-0"))
	f.Add(bytes.Repeat([]byte{0}, 4096))
	f.Fuzz(func(t *testing.T, old []byte) {
		path := filepath.Join(t.TempDir(), "gmpulse.jsonl")
		write(t, path, string(old))
		export(t, newExporter(t, jsonl.Config{Path: path}), small(1), small(2))
		added, kept := bytes.CutPrefix(read(t, path), old)
		if incomplete := len(old) > 0 && old[len(old)-1] != '\n'; incomplete {
			var ended bool
			if added, ended = bytes.CutPrefix(added, []byte("\n")); !ended {
				t.Fatal("an incomplete line is not terminated")
			}
		}
		lines := bytes.Split(added, []byte("\n"))
		if !kept || len(lines) != 3 || !json.Valid(lines[0]) || !json.Valid(lines[1]) || len(lines[2]) != 0 {
			t.Errorf("kept: %v; added %q", kept, added)
		}
	})
}
