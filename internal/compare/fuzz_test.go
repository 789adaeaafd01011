// SPDX-License-Identifier: Apache-2.0

package compare_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/gmpulse/gmpulse/internal/compare"
)

// FuzzCompare compares a recording with arbitrary lines to one of a service: files come from other machines.
func FuzzCompare(f *testing.F) {
	good := normal(1).record(f, 120, 10, true)
	text, err := os.ReadFile(good)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(text))
	f.Add(`{"@timestamp":"2026-11-30T12:00:00Z","id":"/-1/1","gmpulse.root_spans.ended":1e308,"root_spans":[null,{"name":1,"durations":"1e308:1e308 5:-1"}]}` + "\n")
	f.Add(`{"@timestamp":"0001-01-01T00:00:00Z"}` + "\n" + `{"@timestamp":"9999-01-01T00:00:00Z","interval":-1}` + "\n")
	f.Fuzz(func(t *testing.T, text string) {
		path := write(t, filepath.Join(t.TempDir(), "fuzz.jsonl"), text)
		for _, pair := range [][2]string{{path, good}, {good, path}, {path, path}} {
			a, err1 := compare.Open(pair[0])
			b, err2 := compare.Open(pair[1])
			if err1 != nil || err2 != nil {
				return
			}
			r, err := compare.Compare(a, b, compare.Config{Margin: 0.05, Roots: 10})
			if err == nil && (r.Summary() == "" || len(r.Sentences()) < 2) {
				t.Errorf("%+v", r)
			}
			if err == nil {
				r.Tables()
			}
		}
	})
}
