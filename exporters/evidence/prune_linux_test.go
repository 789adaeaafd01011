// SPDX-License-Identifier: Apache-2.0

package evidence_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/gmpulse/gmpulse/exporters/evidence"
)

// unremovable makes a directory unremovable, for root too.
func unremovable(t *testing.T, dir string) {
	t.Helper()
	if os.Geteuid() != 0 {
		if err := os.Chmod(dir, 0o500); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.Chmod(dir, 0o700) })
		return
	}
	if err := syscall.Mount(dir, dir, "", syscall.MS_BIND, ""); err != nil {
		t.Skipf("root cannot mount here: %v; run the test as another user", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	if err := syscall.Mount("", dir, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
}

// If a bundle cannot be removed, the store removes others, and new bundles count as created.
func TestPruneSkipsUnremovableBundles(t *testing.T) {
	dir := t.TempDir()
	var log strings.Builder
	s := newStore(t, evidence.Config{Dir: dir, MaxBytes: 250_000, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	var ids []string
	for i := range 6 {
		id, err := s.Capture(t.Context(), strings.Repeat("a long reason; ", 8_000))
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
		if i == 0 {
			unremovable(t, filepath.Join(dir, id))
		}
	}
	all := bundles(t, s)
	if !slices.Contains(all, ids[0]) || !slices.Contains(all, ids[5]) || len(all) > 3 {
		t.Errorf("%v were created, %v are stored", ids, all)
	}
	if c := s.Stats(); c.Made != 6 || c.Failed != 0 {
		t.Errorf("%+v", c)
	}
	if n := strings.Count(log.String(), "cannot be removed"); n != 1 {
		t.Errorf("logged %d times:\n%s", n, log.String())
	}
}
