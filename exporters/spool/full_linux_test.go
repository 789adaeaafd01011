// SPDX-License-Identifier: Apache-2.0

package spool_test

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/gmpulse/gmpulse/exporters/spool"
	"github.com/gmpulse/gmpulse/internal/testutil"
)

// smallDisk mounts a small file system, which requires root.
func smallDisk(t *testing.T, options string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("spool", dir, "tmpfs", 0, options); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("mounting a small disk requires root, and CI must not skip this test: %v", err)
		}
		t.Skipf("mounting a small disk requires root: %v; run sudo go test ./exporters/spool", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func remount(t *testing.T, dir string, flags uintptr, options string) {
	t.Helper()
	if err := syscall.Mount("spool", dir, "tmpfs", syscall.MS_REMOUNT|flags, options); err != nil {
		t.Fatal(err)
	}
}

// The disk is full for a while. Records stay in memory meanwhile, the log has one line for
// each change, and everything is delivered in order.
func TestFullDiskKeepsRecordsInMemory(t *testing.T) {
	dir := smallDisk(t, "size=512k")
	b := &backend{}
	b.does(down)
	x, log := newSpool(t, b, spool.Config{Dir: dir})
	seq := 0
	more := func() {
		for range 20 {
			seq++
			s := snapshot(seq, "e")
			s.Events[0].Attrs = largeAttrs()
			export(t, x, s)
		}
	}
	testutil.Eventually(t, "the disk is full", func() bool {
		more()
		return balanced(t, x).Spool.DiskError != ""
	})
	if s := balanced(t, x); s.Spool.OnDisk || !strings.Contains(s.Spool.DiskError, "no space left") {
		t.Errorf("%+v", s.Spool)
	}
	more()
	b.does(nil) // a full disk can be read
	testutil.Eventually(t, "all is delivered", func() bool { return balanced(t, x).Snapshots.Pending == 0 })
	b.does(down)
	more()
	remount(t, dir, 0, "size=64m")
	testutil.Eventually(t, "the disk works again", func() bool { return balanced(t, x).Spool.OnDisk })
	syncSpool(t, x)
	b.does(nil)
	s := stop(t, x, longDeadline)
	if got := b.seqs(); got != sequence(seq) || s.Snapshots.Lost() != 0 {
		t.Errorf("%d taken, %+v", seq, s)
	}
	for _, line := range []string{"in memory only", "on disk again"} {
		if n := strings.Count(log.String(), line); n != 1 {
			t.Errorf("%d lines with %q, log:\n%s", n, line, log)
		}
	}
	if left := files(t, dir); left != "[]" {
		t.Errorf("files left after delivery: %s", left)
	}
}

func TestReadOnlyDiskKeepsRecordsInMemory(t *testing.T) {
	dir := smallDisk(t, "size=8m")
	b := &backend{}
	b.does(down)
	remount(t, dir, syscall.MS_RDONLY, "")
	x, log := newSpool(t, b, spool.Config{Dir: dir})
	export(t, x, snapshot(1, "e"))
	testutil.Eventually(t, "the disk is tried", func() bool { return balanced(t, x).Spool.DiskError != "" })
	export(t, x, snapshot(2, "e"))
	remount(t, dir, 0, "")
	testutil.Eventually(t, "the disk works", func() bool { return balanced(t, x).Spool.OnDisk })
	export(t, x, snapshot(3, "e"))
	syncSpool(t, x)
	b.does(nil)
	stop(t, x, longDeadline)
	if got := b.seqs(); got != sequence(3) || strings.Count(log.String(), "read-only") != 1 {
		t.Errorf("delivered %s, log:\n%s", got, log)
	}
}
