// SPDX-License-Identifier: Apache-2.0

package spool_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/spool"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// backend is an exporter that a test controls.
type backend struct {
	mu     sync.Mutex
	export func(ctx context.Context, s *runtimeinfo.Snapshot) error // nil: takes all
	got    []*runtimeinfo.Snapshot
	calls  int
	shut   int
}

func (b *backend) Export(ctx context.Context, s *runtimeinfo.Snapshot) error {
	b.mu.Lock()
	export := b.export
	b.calls++
	b.mu.Unlock()
	if export != nil {
		if err := export(ctx, s); err != nil {
			return err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.got = append(b.got, s)
	return nil
}

func (b *backend) Shutdown(context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.shut++
	return nil
}

func (b *backend) does(export func(ctx context.Context, s *runtimeinfo.Snapshot) error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.export = export
}

func (b *backend) called() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.calls
}

// seqs returns what was delivered, with its events: "1 2 3:a:b".
func (b *backend) seqs() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []string
	for _, s := range b.got {
		one := []string{strconv.FormatUint(s.Seq, 10)}
		for _, e := range s.Events {
			one = append(one, e.Message)
		}
		all = append(all, strings.Join(one, ":"))
	}
	return strings.Join(all, " ")
}

var errDown = errors.New("connection refused")

func down(context.Context, *runtimeinfo.Snapshot) error { return errDown }

func snapshot(seq int, events ...string) *runtimeinfo.Snapshot {
	s := runtimeinfo.NewSnapshot()
	s.Seq, s.Time = uint64(seq), time.Now()
	for _, e := range events {
		s.Events = append(s.Events, runtimeinfo.Event{Message: e, Time: s.Time})
	}
	return s
}

// newSpool returns a spool and its log.
func newSpool(t testing.TB, next exporters.Exporter, cfg spool.Config) (*spool.Exporter, *log) {
	t.Helper()
	l := &log{}
	cfg.Logger = slog.New(slog.NewTextHandler(l, nil))
	x, err := spool.New(next, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return x, l
}

type log struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func export(t testing.TB, x *spool.Exporter, snapshots ...*runtimeinfo.Snapshot) {
	t.Helper()
	for _, s := range snapshots {
		if err := x.Export(t.Context(), s); err != nil {
			t.Fatalf("Export of %d: %v", s.Seq, err)
		}
		balanced(t, x)
	}
}

// syncSpool waits until no record is in memory only.
func syncSpool(t testing.TB, x *spool.Exporter) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := x.Sync(ctx); err != nil {
		t.Fatal(err)
	}
}

// stop shuts a spool down within a time and returns the final counters. If the backend is
// down, Shutdown uses all of the time; on a busy machine the disk may need more.
func stop(t testing.TB, x *spool.Exporter, within time.Duration) exporters.Stats {
	t.Helper()
	shutdown := func(within time.Duration) error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), within)
		defer cancel()
		return x.Shutdown(ctx)
	}
	err := shutdown(within)
	if within == shortDeadline && errors.Is(err, context.DeadlineExceeded) {
		err = shutdown(longDeadline)
	}
	if err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	return balanced(t, x)
}

// balanced returns the counters and fails the test if they do not balance.
func balanced(t testing.TB, x *spool.Exporter) exporters.Stats {
	t.Helper()
	s := x.ExporterStats()
	for name, a := range map[string]exporters.Account{"snapshots": s.Snapshots, "events": s.Events} {
		if a.Accepted != a.Delivered+a.Lost()+a.Pending {
			t.Errorf("%s do not balance: %+v", name, a)
		}
	}
	return s
}

func largeAttrs() []slog.Attr { return []slog.Attr{slog.String("padding", strings.Repeat("x", 1000))} }

func files(t testing.TB, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return fmt.Sprint(names)
}
