// SPDX-License-Identifier: Apache-2.0

package spool

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"runtime/debug"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// unread returns a store whose file the operating system cannot read.
func unread(t *testing.T) *store {
	t.Helper()
	s := &store{path: fillStore(t, t.TempDir(), "exporter.db", 3)}
	if err := s.open(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	if err := s.file.Close(); err != nil {
		t.Fatal(err)
	}
	return s
}

// A store that cannot be read at present is not damaged, so that its records are not set aside.
// One that still cannot be read at the last attempt is.
func TestStoreThatCannotBeReadIsNotDamaged(t *testing.T) {
	s := unread(t)
	var path *fs.PathError
	if err := s.check(); errors.Is(err, errDamaged) || !errors.As(err, &path) {
		t.Errorf("the first attempts: %v, want the error of the operating system", err)
	}
	s.giveUp = true
	if err := s.check(); !errors.Is(err, errDamaged) {
		t.Errorf("the last attempt: %v, want %v", err, errDamaged)
	}
}

// After some attempts a diskWriter gives up a store that cannot be read.
func TestDiskWriterGivesUpAfterSomeAttempts(t *testing.T) {
	dir := t.TempDir()
	blocked := dir + "/blocked" // no directory can be made there
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	w := newDiskWriter(Config{Name: "exporter", Dir: blocked, Logger: slog.New(slog.DiscardHandler), MaxAge: time.Hour}, &backlog{})
	for attempt := 1; attempt <= openAttempts; attempt++ {
		if want := attempt == openAttempts; w.lastAttempt() != want {
			t.Errorf("attempt %d: %v, want %v", attempt, !want, want)
		}
		if w.open() {
			t.Fatal("it has opened a store")
		}
	}
	w.config.Dir = dir
	if !w.open() || w.lastAttempt() {
		t.Error("a store that opens does not end the series")
	}
	w.store.close()
}

// The last transaction finds that the store is damaged. The records that are in memory too go
// to a new one.
func TestFinishWritesToANewStoreIfTheOldOneIsDamaged(t *testing.T) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true)) // as run does
	dir := t.TempDir()
	x, err := New(exporters.Func(func(context.Context, *runtimeinfo.Snapshot) error { return nil }), Config{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	accept := func() {
		t.Helper()
		e, schema, err := x.encode(runtimeinfo.NewSnapshot())
		if err == nil {
			err = x.backlog.accept(t.Context(), e, schema)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if !x.disk.open() {
		t.Fatal(x.backlog.report().Spool)
	}
	path := x.disk.store.path
	accept()
	accept()
	x.disk.commit(x.backlog.all())
	if err := os.Truncate(path, 8192); err != nil {
		t.Fatal(err)
	}
	accept()
	x.disk.finish()
	if n := countRecords(t, path); n != 3 {
		t.Errorf("%d records are on disk, want 3", n)
	}
	if _, err := os.Stat(path + ".damaged"); err != nil {
		t.Error(err)
	}
}
