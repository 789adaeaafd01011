// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/spool"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// perStore is how many records each of two earlier processes left.
const perStore = 5

// prepareRestart leaves the stores of two processes that ran at the same time: the records
// 1 to 5 and 6 to 10.
func prepareRestart(t *testing.T, dir string) {
	t.Helper()
	down := exporters.Func(func(context.Context, *runtimeinfo.Snapshot) error { return errors.New("down") })
	var processes []*spool.Exporter
	for first := 1; first <= 2*perStore; first += perStore {
		x, err := spool.New(down, spool.Config{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		for seq := range perStore {
			if err := x.Export(t.Context(), snapshot(first+seq)); err != nil {
				t.Fatal(err)
			}
		}
		if err := x.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		processes = append(processes, x)
	}
	for _, x := range processes {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		_ = x.Shutdown(ctx) // the backend is down
		cancel()
	}
	if stores, err := filepath.Glob(filepath.Join(dir, "*.db")); err != nil || len(stores) != 2 {
		t.Fatalf("the stores are %v: %v", stores, err)
	}
}

// writeRestart takes over both stores and exports one more record, 11. The backend takes
// all of them. It is up when the stores are taken over.
func writeRestart(dir string) {
	up := make(chan struct{})
	backend := exporters.Func(func(ctx context.Context, s *runtimeinfo.Snapshot) error {
		select {
		case <-up:
		case <-ctx.Done():
			return ctx.Err()
		}
		say("delivered %d", s.Seq)
		return nil
	})
	x, err := spool.New(backend, spool.Config{Dir: dir, Logger: logger()})
	must(err)
	must(x.Export(context.Background(), snapshot(2*perStore+1)))
	if synced(x) {
		say("synced %d", 2*perStore+1)
	}
	close(up)
	stop(x, 5*time.Second)
}

func checkRestart(t *testing.T, dir string, o *outcome) {
	t.Helper()
	next := deliverRest(t, dir)
	delivered := map[string]bool{}
	for _, seq := range o.has("delivered") {
		delivered[seq] = true
	}
	damage := o.fault.lies && next.noticed(t, dir, o)
	for seq := uint64(1); seq <= 2*perStore; seq++ {
		if !delivered[strconv.FormatUint(seq, 10)] && next.got[seq] == 0 && !damage {
			t.Errorf("record %d of an earlier process is lost; the next process: %+v, log:\n%s", seq, next.stats.Snapshots, next.log)
		}
	}
	for _, seq := range o.has("synced") {
		if n, _ := strconv.ParseUint(seq, 10, 64); !delivered[seq] && next.got[n] == 0 && !damage {
			t.Errorf("record %s was synced and is lost; the next process: %+v, log:\n%s", seq, next.stats.Snapshots, next.log)
		}
	}
}
