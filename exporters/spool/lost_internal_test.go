// SPDX-License-Identifier: Apache-2.0

package spool

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// Records that the disk has lost without a trace are counted as dropped, once, and the log
// has a line.
func TestLostRecordsAreCounted(t *testing.T) {
	dir := t.TempDir()
	var log strings.Builder
	run := func(n int) exporters.Account {
		t.Helper()
		down := exporters.Func(func(context.Context, *runtimeinfo.Snapshot) error { return errors.New("down") })
		x, err := New(down, Config{Dir: dir, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		for range n {
			if err := x.Export(t.Context(), runtimeinfo.NewSnapshot()); err != nil {
				t.Fatal(err)
			}
		}
		if err := x.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := x.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		return x.ExporterStats().Snapshots
	}
	run(10)
	db, err := bolt.Open(filepath.Join(dir, "exporter.db"), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bolt.Tx) error { // the bucket still says ten
		records := tx.Bucket(recordsBucket())
		return errors.Join(records.Delete(keyBytes(4)), records.Delete(keyBytes(7)))
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	log.Reset()
	if a := run(1); a.Accepted != 11 || a.Recovered != 10 || a.Pending != 9 || a.Dropped(exporters.DropUnreadable) != 2 {
		t.Errorf("%+v", a)
	}
	if !strings.Contains(log.String(), "lost=2") {
		t.Errorf("log:\n%s", log.String())
	}
	if a := run(1); a.Recovered != 9 || a.Pending != 10 || a.Lost() != 0 {
		t.Errorf("the loss is counted again: %+v", a)
	}
}
