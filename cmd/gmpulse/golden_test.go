// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"flag"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/exporters/evidence"
	"github.com/gmpulse/gmpulse/exporters/exporttest"
	"github.com/gmpulse/gmpulse/internal/compare"
	"github.com/gmpulse/gmpulse/internal/manifest"
	"github.com/gmpulse/gmpulse/runtimeinfo"
	survey "github.com/gmpulse/gmpulse/runtimeinfo/goroutines"
)

var update = flag.Bool("update", false, "write testdata/bundles1, which must not change: a new form of bundles gets a new directory")

// goldenDir is a directory of evidence with one bundle, as the first version wrote it.
const goldenDir = "testdata/bundles1"

// Every version reads the bundles of earlier ones.
func TestBundlesOfAllVersions(t *testing.T) {
	if *update {
		writeBundle(t)
	}
	checkBundle(t, goldenDir)
}

// A bundle of a later version may have more fields in its JSON files and more files.
func TestBundleOfALaterVersion(t *testing.T) {
	dir, bundle := copyBundle(t)
	for _, name := range []string{manifest.Name, "spans.json", "build.json"} {
		replace(t, filepath.Join(bundle, name), "{", `{"future": {"field": [1, "a", null]},`)
	}
	for name, size := range map[string][2]string{"spans.json": {"721", "757"}, "build.json": {"2496", "2532"}} {
		replace(t, filepath.Join(bundle, manifest.Name), `"name": "`+name+"\",\n      \"bytes\": "+size[0], `"name": "`+name+`", "bytes": `+size[1])
	}
	replace(t, filepath.Join(bundle, manifest.Name), `"files": [`, `"files": [{"name": "future.bin", "bytes": 3, "form": {"a": 1}},`)
	if err := os.WriteFile(filepath.Join(bundle, "future.bin"), []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	checkBundle(t, dir)
}

// What this version cannot read of a bundle is named, and the rest is printed.
func TestBundleWithFilesOfALaterVersion(t *testing.T) {
	_, bundle := copyBundle(t)
	for name, content := range map[string]string{
		"execution.trace":   "go 9.99 trace\x00\x00\x00and more",
		"spans.json":        `{"active": "of another type"}`,
		"samples.ndjson.gz": "of another form",
	} {
		if err := os.WriteFile(filepath.Join(bundle, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	status, out, diagnostics := gmpulse(t, "inspect", bundle)
	if status != statusOK || diagnostics != "" {
		t.Errorf("status %d: %s", status, diagnostics)
	}
	for _, want := range []string{"GET /cart took 30ms", "cannot read execution.trace as an execution trace of Go", "cannot decode spans.json", "FILES", "heap.pb.gz"} {
		if !strings.Contains(out, want) {
			t.Errorf("the output lacks %q:\n%s", want, out)
		}
	}
	if _, err := compare.Open(bundle); err == nil || !strings.Contains(err.Error(), "not JSON") {
		t.Errorf("samples of another form: %v", err)
	}
	replace(t, filepath.Join(bundle, manifest.Name), `"goroutines": `, `"goroutines": "of another type", "old": `)
	status, _, diagnostics = gmpulse(t, "inspect", bundle)
	if status == statusOK || !strings.Contains(diagnostics, manifest.Name) || strings.Count(diagnostics, "\n") != 1 {
		t.Errorf("a manifest of another form: status %d: %s", status, diagnostics)
	}
}

// checkBundle checks that the command and a Store read the bundle in dir.
func checkBundle(t *testing.T, dir string) {
	t.Helper()
	s, err := evidence.New(evidence.Config{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	entries, err := fs.ReadDir(s, ".")
	if err != nil || len(entries) != 1 {
		t.Fatalf("a Store finds the bundles %v, want one: %v", entries, err)
	}
	sub, err := fs.Sub(s, entries[0].Name())
	if err != nil {
		t.Fatal(err)
	}
	m, err := manifest.Read(sub)
	if err != nil || m.ID != entries[0].Name() || len(m.Verdicts) != 1 || m.Verdicts[0].Count != 4012 || m.Event.Name != "span.slow" {
		t.Fatalf("%+v, %v", m, err)
	}
	for _, f := range m.Files {
		if b, err := fs.ReadFile(sub, f.Name); err != nil || len(b) != f.Bytes {
			t.Errorf("%s has %d bytes, want %d: %v", f.Name, len(b), f.Bytes, err)
		}
	}
	bundle := filepath.Join(dir, m.ID)
	status, out, diagnostics := gmpulse(t, "inspect", bundle)
	if status != statusOK || diagnostics != "" {
		t.Errorf("status %d: %s", status, diagnostics)
	}
	for _, want := range []string{
		"GET /cart took 30ms", "LEAK: 4012 in chan send at checkout.notify", "GET /cart (4000)", "SPANS CONCERNED", "SPAN: 68.3MS", "sleep", "go tool trace",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the output lacks %q:\n%s", want, out)
		}
	}
	if r, err := compare.Open(bundle); err != nil || r.Len() != 3 {
		t.Errorf("the samples: %v", err)
	}
}

func writeBundle(t *testing.T) {
	t.Helper()
	trace, span := recorded(t)
	if err := os.RemoveAll(goldenDir); err != nil {
		t.Fatal(err)
	}
	verdict := survey.Verdict{
		Kind: survey.Leak, Key: survey.Key{Class: survey.ChanSend, Site: survey.Site{Function: "checkout.notify"}, Entry: "checkout.notify"},
		Count: 4012, Old: 4000, PerMinute: 120, Roots: []survey.Root{{Name: "GET /cart", Count: 4000}},
		Evidence: "grew in each of 10 surveys", Hint: "nothing receives from the channel",
	}
	s, err := evidence.New(evidence.Config{
		Dir: goldenDir, MinFree: 1, ProfileFor: time.Millisecond, Logger: slog.New(slog.DiscardHandler),
		Goroutines: func() survey.Report { return survey.Report{Verdicts: []survey.Verdict{verdict}} },
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		x := exporttest.Snapshot()
		x.Seq, x.Time = x.Seq+uint64(i), x.Time.Add(time.Duration(i)*time.Second)
		if err := s.Export(t.Context(), x); err != nil {
			t.Fatal(err)
		}
	}
	s.Trigger(evidence.Trigger{
		Cause: "span.slow GET /cart", Reason: "GET /cart took 30ms", Trace: trace, CPU: true,
		Event: &runtimeinfo.Event{Time: time.Now(), Name: "span.slow", Spans: []runtimeinfo.Span{span}},
	})
	if err := s.Shutdown(context.Background()); err != nil { // waits for the bundle
		t.Fatal(err)
	}
}

// copyBundle returns a copy of goldenDir and the directory of the bundle in it.
func copyBundle(t *testing.T) (dir, bundle string) {
	t.Helper()
	dir = t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(goldenDir)); err != nil {
		t.Fatal(err)
	}
	all, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(all) != 1 {
		t.Fatalf("%v, %v", all, err)
	}
	return dir, all[0]
}

// replace replaces the first occurrence of a text in a file.
func replace(t *testing.T, path, old, by string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(b), old, by, 1)
	if text == string(b) {
		t.Fatalf("%s has no %q", path, old)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
