// SPDX-License-Identifier: Apache-2.0

package spool

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// While the disk hangs for ten minutes, records on it stay pending and records in memory are
// delivered.
func TestHangingDiskMakesNoDeadLetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		delivered := 0
		next := exporters.Func(func(context.Context, *runtimeinfo.Snapshot) error {
			delivered++
			return nil
		})
		x, err := New(next, Config{Dir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		accept := func() *entry {
			e, schema, err := x.encode(runtimeinfo.NewSnapshot())
			if err == nil {
				err = x.backlog.accept(t.Context(), e, schema)
			}
			if err != nil {
				t.Fatal(err)
			}
			return e
		}
		onDisk := accept()
		x.backlog.markSaved(x.backlog.all(), 1)
		onDisk.body = nil
		ctx, cancel := context.WithCancel(t.Context())
		go x.sender.run(ctx) // without the diskWriter, reads are not answered
		for range 600 {
			accept()
			x.sender.signal()
			time.Sleep(time.Second)
		}
		if s := x.ExporterStats(); s.Snapshots.Lost() != 0 || onDisk.done {
			t.Errorf("%+v", s.Snapshots)
		}
		if delivered == 0 {
			t.Error("records in memory were not delivered")
		}
		cancel()
		<-x.sender.done
	})
}
