// SPDX-License-Identifier: Apache-2.0

package spool

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// randomBackend fails, panics, refuses and accepts at random, and counts what it accepted.
type randomBackend struct {
	mu    sync.Mutex
	r     *rand.Rand
	bad   int // failures in ten calls
	taken map[uint64]int
}

func (b *randomBackend) Export(_ context.Context, s *runtimeinfo.Snapshot) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.r.IntN(10) < b.bad {
		switch b.r.IntN(3) {
		case 0:
			panic("test")
		default:
			return errors.New("down")
		}
	}
	b.taken[s.Seq]++
	return nil
}

func (*randomBackend) Shutdown(context.Context) error { return nil }

// Each process accepts some records, with a backend in a random state, and has a random time
// to shut down. The counters balance at all times, each process recovers what the previous
// one left pending, and in the end every record has arrived, some twice, or is counted as
// dropped.
func TestRandomRestartsLoseNothing(t *testing.T) {
	for seed := range uint64(4) {
		r := rand.New(rand.NewPCG(seed, 16)) //nolint:gosec // a test
		dir := t.TempDir()
		b := &randomBackend{r: rand.New(rand.NewPCG(seed, 17)), taken: map[uint64]int{}} //nolint:gosec // a test
		var seq, pending, lost uint64
		for range 8 {
			b.mu.Lock()
			b.bad = []int{0, 5, 10}[r.IntN(3)]
			b.mu.Unlock()
			a := runProcess(t, b, dir, r, &seq, time.Duration(20+r.IntN(300))*time.Millisecond)
			if a.Recovered != pending {
				t.Errorf("seed %d: one process left %d, the next recovered %d", seed, pending, a.Recovered)
			}
			pending, lost = a.Pending, lost+a.Lost()
		}
		b.mu.Lock()
		b.bad = 0
		b.mu.Unlock()
		a := runProcess(t, b, dir, r, &seq, 30*time.Second)
		lost += a.Lost()
		if a.Pending != 0 {
			t.Errorf("seed %d: %d pending with a healthy backend", seed, a.Pending)
		}
		if missing := seq - uint64(len(b.taken)); missing > lost {
			t.Errorf("seed %d: %d of %d records never arrived, %d are counted as lost", seed, missing, seq, lost)
		}
	}
}

// runProcess starts a spool, exports some records, and shuts the spool down within a time.
func runProcess(t *testing.T, next exporters.Exporter, dir string, r *rand.Rand, seq *uint64, within time.Duration) exporters.Account {
	t.Helper()
	x, err := New(next, Config{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	balanced := func() exporters.Account {
		t.Helper()
		a := x.ExporterStats().Snapshots
		if a.Accepted != a.Delivered+a.Lost()+a.Pending {
			t.Errorf("%+v", a)
		}
		return a
	}
	for range 1 + r.IntN(30) {
		s := runtimeinfo.NewSnapshot()
		*seq++
		s.Seq, s.Time = *seq, time.Now()
		for range r.IntN(3) {
			s.Events = append(s.Events, runtimeinfo.Event{Message: "e"})
		}
		if err := x.Export(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		balanced()
		if r.IntN(4) == 0 {
			time.Sleep(time.Duration(r.IntN(10)) * time.Millisecond)
		}
	}
	if err := x.Sync(t.Context()); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	_ = x.Shutdown(ctx) // may exceed the deadline
	<-x.disk.done
	return balanced()
}
