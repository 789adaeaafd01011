// SPDX-License-Identifier: Apache-2.0

package evidence_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/gmpulse/gmpulse/exporters/evidence"
)

// ReadManifest opens neither a pipe nor a huge file.
func TestReadManifestRefusesPipesAndHugeFiles(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, evidence.ManifestFile)
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := evidence.ReadManifest(os.DirFS(dir)); err == nil {
		t.Error("a pipe was accepted")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 1<<40); err != nil {
		t.Fatal(err)
	}
	if _, err := evidence.ReadManifest(os.DirFS(dir)); err == nil {
		t.Error("a file of a terabyte was accepted")
	}
}
