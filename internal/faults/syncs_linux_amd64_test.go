// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/spool"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

const (
	markFile    = "record-is-on-disk"
	syncRecords = 20
)

// A commit of the spool waits for two fsyncs, and for a third if the file grows, as
// docs/delivery.md says.
func TestFsyncsOfARecord(t *testing.T) {
	counts := []int{0}
	t.Parallel()
	dir := t.TempDir()
	out := child(t, "syncs", dir, &tracer{dir: dir, decide: func(c call) action {
		switch {
		case c.name == "mkdir" && filepath.Base(c.path) == markFile:
			counts = append(counts, 0)
		case c.isSync() && filepath.Ext(c.path) == ".db":
			counts[len(counts)-1]++
		}
		return action{}
	}})
	if len(counts) != syncRecords+2 {
		t.Fatalf("%v, log:\n%s", counts, out.log)
	}
	two, three := 0, 0
	for _, n := range counts[2 : len(counts)-1] { // not the first record, which creates the file
		switch n {
		case 2:
			two++
		case 3:
			three++
		default:
			t.Errorf("%d fsyncs for a record, want 2 or 3", n)
		}
	}
	if two == 0 || three == 0 {
		t.Errorf("%d records with 2 fsyncs and %d with 3, want some of both: %v", two, three, counts)
	}
}

// writeSyncs writes records to a spool one by one, without a backend. It makes a directory after each.
func writeSyncs(dir string) {
	down := exporters.Func(func(context.Context, *runtimeinfo.Snapshot) error { return errors.New("down") })
	x, err := spool.New(down, spool.Config{Dir: dir, Logger: logger()})
	must(err)
	mark := filepath.Join(dir, markFile)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	must(os.Mkdir(mark, 0o700))
	for seq := 1; seq <= syncRecords; seq++ {
		must(x.Export(ctx, snapshot(seq)))
		must(x.Sync(ctx))
		must(os.Remove(mark))
		must(os.Mkdir(mark, 0o700))
	}
	os.Exit(0) // Shutdown would write, too
}
