// SPDX-License-Identifier: Apache-2.0

package spool

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// failWrites has every write to an open store fail, until restore is called: its
// descriptor is one that can only be read.
func failWrites(t *testing.T, s *store) (restore func()) {
	t.Helper()
	readOnly, err := os.Open(s.path)
	if err != nil {
		t.Fatal(err)
	}
	fd := int(s.file.Fd())
	saved, err := syscall.Dup(fd)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Dup3(int(readOnly.Fd()), fd, syscall.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := errors.Join(syscall.Dup3(saved, fd, syscall.O_CLOEXEC), syscall.Close(saved), readOnly.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFailingDisk has a disk whose writes fail: nothing is lost, what waits stays in memory and is counted
// as unsaved, and goes to disk when it works again.
func TestFailingDisk(t *testing.T) {
	dir := t.TempDir()
	x, err := New(exporters.Func(func(context.Context, *runtimeinfo.Snapshot) error { return errors.New("down") }), Config{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	k := x.keeper
	if !k.open() {
		t.Fatal("it does not open")
	}
	for range 3 {
		e, schema, err := x.encode(runtimeinfo.NewSnapshot())
		if err == nil {
			err = x.backlog.accept(t.Context(), e, schema)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	restore := failWrites(t, k.store)
	k.commit(x.backlog.all())
	if s := x.ExporterStats(); s.Spool.Unsaved != 3 || s.Spool.OnDisk || s.Spool.DiskError == "" || s.Snapshots.Lost() != 0 {
		t.Errorf("while it fails: %+v, %+v", s.Snapshots, s.Spool)
	}
	restore()
	k.retryAt = time.Time{}
	k.work()
	if s := x.ExporterStats(); s.Spool.Unsaved != 0 || !s.Spool.OnDisk || s.Snapshots.Pending != 3 {
		t.Errorf("afterwards: %+v, %+v", s.Snapshots, s.Spool)
	}
	k.store.close()
	keys, err := keysOf(k.path(1))
	if err != nil || len(keys) != 3 {
		t.Errorf("on disk are %v, %v", keys, err)
	}
}
