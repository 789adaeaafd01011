// SPDX-License-Identifier: Apache-2.0

package spool

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/gmpulse/gmpulse/exporters/exporttest"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// Programs may read the lines of dead letters, so that their form changes on purpose only. The
// snapshot and its events are full records.
func TestDeadLettersMatchTheGoldenFile(t *testing.T) {
	const golden = "testdata/dead.jsonl"
	d := &deadLetterFile{path: filepath.Join(t.TempDir(), "exporter.dead.jsonl"), maxBytes: maxDeadLetterFile}
	if err := d.write(exporttest.Snapshot().WithEvents([]runtimeinfo.Event{exporttest.Event()}), "connection reset"); err != nil {
		t.Fatal(err)
	}
	now := regexp.MustCompile(`^{"time":"[^"]*"`)
	got := now.ReplaceAll(contentsOf(t, d.path), []byte(`{"time":"2026-01-02T03:04:06Z"`))
	if *update {
		if err := os.WriteFile(golden, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if want := contentsOf(t, golden); !bytes.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s\nIf the change is intended: go test ./exporters/spool -run GoldenFile -update", got, want)
	}
}
