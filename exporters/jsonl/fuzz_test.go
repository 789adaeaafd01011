// SPDX-License-Identifier: Apache-2.0

package jsonl_test

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/gmpulse/gmpulse/exporters/jsonl"
)

// Whatever a file holds when it is opened, what was there stays as it is, and each new
// record is a line by itself.
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
		if torn := len(old) > 0 && old[len(old)-1] != '\n'; torn {
			var ended bool
			if added, ended = bytes.CutPrefix(added, []byte("\n")); !ended {
				t.Fatal("a torn line is not ended")
			}
		}
		lines := bytes.Split(added, []byte("\n"))
		if !kept || len(lines) != 3 || !json.Valid(lines[0]) || !json.Valid(lines[1]) || len(lines[2]) != 0 {
			t.Errorf("kept: %v; added %q", kept, added)
		}
	})
}
