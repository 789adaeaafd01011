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

// failWrites makes every write to an open store fail until restore is called: it replaces
// the file descriptor by a read-only one.
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

// While writes fail, records stay in memory and count as unsaved. They are written once the
// disk works again.
func TestFailedWritesLoseNothing(t *testing.T) {
	dir := t.TempDir()
	x, err := New(exporters.Func(func(context.Context, *runtimeinfo.Snapshot) error { return errors.New("down") }), Config{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	k := x.disk
	if !k.open() {
		t.Fatal("the store does not open")
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
		t.Errorf("keys on disk: %v, %v", keys, err)
	}
}
