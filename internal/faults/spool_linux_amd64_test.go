// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/spool"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// spooled is how many records the child exports.
const spooled = 12

// writeSpool exports records one by one, each when the one before is on disk. The backend
// answers only then: it takes the first, the third and the fourth, refuses the second, and
// fails from the fifth on. So each run makes the same calls.
func writeSpool(dir string) {
	turn, answered := make(chan struct{}), make(chan struct{}, spooled)
	backend := exporters.Func(func(ctx context.Context, s *runtimeinfo.Snapshot) error {
		select {
		case <-turn:
		case <-ctx.Done():
			return ctx.Err()
		}
		defer func() { answered <- struct{}{} }()
		switch {
		case s.Seq == 2:
			say("refused 2")
			return &exporters.RejectedError{Snapshot: true, Err: errors.New("test")}
		case s.Seq > 4:
			return errors.New("down")
		}
		say("delivered %d", s.Seq)
		return nil
	})
	x, err := spool.New(backend, spool.Config{Dir: dir, Logger: logger(), Timeout: time.Minute})
	must(err)
	for seq := 1; seq <= spooled; seq++ {
		must(x.Export(context.Background(), snapshot(seq)))
		if synced(x) {
			say("synced %d", seq)
		}
	}
	for range 4 {
		turn <- struct{}{}
		<-answered
	}
	close(turn)
	stop(x, 800*time.Millisecond)
}

// synced waits until the records of a spool are on disk, but not long if the disk fails.
func synced(x *spool.Exporter) bool {
	for begin := time.Now(); time.Since(begin) < 5*time.Second; {
		ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
		err := x.Sync(ctx)
		cancel()
		if err == nil {
			return true
		}
		if x.ExporterStats().Spool.DiskError != "" {
			return false
		}
	}
	return false
}

// stop shuts a spool down and prints its counters.
func stop(x *spool.Exporter, within time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	if err := x.Shutdown(ctx); err != nil {
		say("shutdown %v", err)
	}
	stats := x.ExporterStats()
	text, err := json.Marshal(counts{stats.Snapshots, stats.Snapshots.Lost(), stats.Spool.Unsaved, stats.Spool.DiskError})
	must(err)
	say("counts %s", text)
}

// counts are the statistics of a spool.
type counts struct {
	exporters.Account
	Dropped   uint64
	Unsaved   uint64
	DiskError string
}

// countsOf returns the counts that the child printed, or zeros if it was killed.
func countsOf(t *testing.T, o *outcome) (c counts) {
	t.Helper()
	if o.killed {
		return c
	}
	if all := o.has("counts"); len(all) != 1 || json.Unmarshal([]byte(all[0]), &c) != nil {
		t.Fatalf("the counts are %q", all)
	}
	return c
}

// following is what the process finds that comes after the child.
type following struct {
	got   map[uint64]int // how often each record was delivered
	stats exporters.Stats
	log   string
}

// deliverRest runs a spool until it has delivered what is in the directory and one more
// record, number 100.
func deliverRest(t *testing.T, dir string) following {
	t.Helper()
	var mu sync.Mutex
	f := following{got: map[uint64]int{}}
	backend := exporters.Func(func(_ context.Context, s *runtimeinfo.Snapshot) error {
		mu.Lock()
		defer mu.Unlock()
		f.got[s.Seq]++
		return nil
	})
	var log bytes.Buffer
	x, err := spool.New(backend, spool.Config{Dir: dir, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	if err := x.Export(t.Context(), snapshot(100)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := x.Shutdown(ctx); err != nil {
		t.Errorf("the next process: %v", err)
	}
	f.stats, f.log = x.ExporterStats(), log.String()
	if a := f.stats.Snapshots; !balanced(a) || a.Pending != 0 || f.got[100] != 1 {
		t.Errorf("the next process: %+v", a)
	}
	return f
}

// noticed reports whether records that the disk lost were counted, by the child or by the
// next process, or a store was set aside.
func (f *following) noticed(t *testing.T, dir string, o *outcome) bool {
	t.Helper()
	if c := countsOf(t, o); c.Dropped > 1 { // one was refused by the backend
		return true
	}
	aside, err := filepath.Glob(filepath.Join(dir, "*.damaged"))
	if err != nil {
		t.Fatal(err)
	}
	return len(aside) > 0 || f.stats.Snapshots.Lost() > 0
}

func checkSpool(t *testing.T, dir string, o *outcome) {
	t.Helper()
	next := deliverRest(t, dir)
	delivered := map[string]bool{}
	for _, seq := range slices.Concat(o.has("delivered"), o.has("refused")) {
		delivered[seq] = true
	}
	// A killed process may lose what was not synced, and nothing else. If a disk confirms a
	// write and loses it, records are lost, but that is noticed.
	damage := o.fault.lies && next.noticed(t, dir, o)
	for _, seq := range o.has("synced") {
		n, _ := strconv.ParseUint(seq, 10, 64)
		if !delivered[seq] && next.got[n] == 0 && !damage {
			t.Errorf("record %s was synced and is lost; the next process: %+v, log:\n%s", seq, next.stats.Snapshots, next.log)
		}
	}
	if o.killed {
		return
	}
	c := countsOf(t, o)
	if c.Accepted != spooled || c.Accepted != c.Delivered+c.Dropped+c.Pending {
		t.Errorf("the counts do not add up: %+v", c)
	}
	// Pending records are on disk, or the counts say that they are not. Some may come twice.
	if missing := int64(c.Pending) - int64(next.stats.Snapshots.Recovered); missing > int64(c.Unsaved) && !damage {
		t.Errorf("%+v; the next process found %d", c, next.stats.Snapshots.Recovered)
	}
	if (c.Unsaved > 0 || c.Dropped > 1) && c.DiskError == "" && !damage { // one was refused by the backend
		t.Errorf("records are lost without an error: %+v", c)
	}
}

func balanced(a exporters.Account) bool { return a.Accepted == a.Delivered+a.Lost()+a.Pending }
