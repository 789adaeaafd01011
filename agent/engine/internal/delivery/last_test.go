// SPDX-License-Identifier: Apache-2.0

package delivery_test

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gmpulse/gmpulse/agent/engine/internal/delivery"
	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// Stop delivers the pending snapshot and then the last one.
func TestStopDeliversPendingAndLastSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &fake{export: func(context.Context, *runtimeinfo.Snapshot) error {
			time.Sleep(10 * time.Millisecond)
			return nil
		}}
		d, _, _ := start(t, e)
		d.Post(snapshot("current"))
		synctest.Wait()
		d.Post(snapshot("pending"))
		if err := d.Stop(t.Context(), snapshot("last")); err != nil {
			t.Error(err)
		}
		balanced(t, d)
		if got := e.events(); got != "current pending last" || len(e.got) != 3 {
			t.Errorf("%d snapshots with events %q", len(e.got), got)
		}
		if s := d.Stats(); s.Snapshots.Delivered != 3 || s.Snapshots.Lost() != 0 || s.Events.Lost() != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// If the exporter hangs, Stop returns by its deadline and counts the current, pending and last
// snapshots as dropped.
func TestStopCountsUndeliveredSnapshots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		e := &fake{export: func(context.Context, *runtimeinfo.Snapshot) error {
			<-release
			return nil
		}}
		d, _, _ := start(t, e)
		d.Post(snapshot("current"))
		synctest.Wait()
		d.Post(snapshot("pending"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := d.Stop(ctx, snapshot("last")); err == nil {
			t.Error("Stop returned nil although the exporter is busy")
		}
		balanced(t, d)
		if s := d.Stats(); s.Snapshots.Dropped(exporters.DropShutdown) != 3 || s.Events.Dropped(exporters.DropShutdown) != 3 {
			t.Errorf("%+v", s)
		}
		close(release)
		synctest.Wait()
		balanced(t, d)
	})
}

// A call that ends with runtime.Goexit counts as a panic, and the exporter is called again.
func TestExporterThatGoexits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &fake{export: func(context.Context, *runtimeinfo.Snapshot) error { runtime.Goexit(); return nil }}
		d, stop, _ := start(t, e)
		for range 3 {
			d.Post(snapshot("e"))
			synctest.Wait()
			balanced(t, d)
		}
		if s := d.Stats(); s.State != exporters.StateFailing || s.Panics != 3 || s.Events.Pending != 3 {
			t.Errorf("%+v", s)
		}
		if err := stop(); err != nil || e.shutdown != 1 {
			t.Errorf("%v, %d shutdowns", err, e.shutdown)
		}
	})
}

// The statistics balance, and a tick takes little time, if the function that returns the
// statistics of the queue panics, hangs, calls runtime.Goexit or returns wrong values.
func TestFaultyQueueStats(t *testing.T) {
	release := make(chan struct{})
	wrong := exporters.Stats{}
	wrong.Snapshots = exporters.Account{Accepted: 1, Delivered: 1 << 40, Recovered: 5, Pending: 9}
	wrong.Events.Drop(exporters.DropExpired, 77)
	for name, stats := range map[string]func() exporters.Stats{
		"panics":  func() exporters.Stats { panic("oh") },
		"goexits": func() exporters.Stats { runtime.Goexit(); return wrong },
		"wrong":   func() exporters.Stats { return wrong },
		"hangs":   func() exporters.Stats { <-release; return wrong },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release = make(chan struct{})
				d := delivery.New("test", &fake{}, stats, delivery.Pace{}, timeout, slog.New(slog.DiscardHandler))
				d.Start(t.Context())
				begin := time.Now()
				for range 20 {
					d.Post(snapshot("e"))
					synctest.Wait()
					balanced(t, d)
				}
				if took := time.Since(begin); took > 10*time.Millisecond {
					t.Errorf("20 ticks took %v", took)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				_ = d.Stop(ctx, snapshot("last")) // returns an error if the function hangs
				balanced(t, d)
				close(release)
				synctest.Wait()
				balanced(t, d)
			})
		})
	}
}

// With random snapshots, failures, panics, rejections, hangs and stops, the statistics always
// balance, the delivered count is the number of snapshots that the exporter accepted, and events
// arrive in order and at most once.
func TestStatsBalanceUnderRandomFaults(t *testing.T) {
	for seed := range uint64(200) {
		synctest.Test(t, func(t *testing.T) { deliverAtRandom(t, rand.New(rand.NewPCG(seed, 16))) }) //nolint:gosec // a test
	}
}

func deliverAtRandom(t *testing.T, r *rand.Rand) {
	t.Helper()
	e := &randomExporter{r: rand.New(rand.NewPCG(r.Uint64(), 16))} //nolint:gosec // a test

	d := delivery.New("test", e, nil, delivery.Pace{}, timeout, slog.New(slog.DiscardHandler))
	d.Start(t.Context())
	posted, events := uint64(0), 0
	next := func() *runtimeinfo.Snapshot {
		s := runtimeinfo.NewSnapshot()
		for range r.IntN(4) {
			s.Events = append(s.Events, runtimeinfo.Event{Message: strconv.Itoa(events)})
			events++
		}
		posted++
		return s
	}
	for range r.IntN(60) {
		d.Post(next())
		balanced(t, d)
		time.Sleep(time.Duration(r.IntN(3)) * time.Second)
		balanced(t, d)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(r.IntN(20))*time.Second)
	defer cancel()
	_ = d.Stop(ctx, next()) // returns an error if the exporter is busy
	at := d.Stats()
	time.Sleep(time.Hour) // until calls that hang have returned
	s := d.Stats()
	if s.Snapshots != at.Snapshots || s.Events != at.Events {
		t.Errorf("the statistics changed after Stop: %+v, then %+v", at, s)
	}
	if s.Snapshots.Accepted != posted || s.Events.Accepted != uint64(events) || s.Snapshots.Pending+s.Events.Pending != 0 {
		t.Errorf("%d snapshots with %d events were posted: %+v", posted, events, s)
	}
	balanced(t, d)
	// A call that succeeds after the deadline of Stop is counted as dropped.
	late := uint64(0)
	if s.Snapshots.Dropped(exporters.DropShutdown) > 0 {
		late = 1
	}
	if e.snapshots < s.Snapshots.Delivered || e.snapshots > s.Snapshots.Delivered+late {
		t.Errorf("the exporter accepted %d snapshots, Stats has %d", e.snapshots, s.Snapshots.Delivered)
	}
	last := -1
	for _, n := range e.events {
		if n <= last {
			t.Fatalf("event %d arrived after %d", n, last)
		}
		last = n
	}
}

// randomExporter accepts snapshots, fails, panics, rejects, waits and hangs at random.
type randomExporter struct {
	r         *rand.Rand
	snapshots uint64
	events    []int
}

func (e *randomExporter) Export(ctx context.Context, s *runtimeinfo.Snapshot) error {
	switch e.r.IntN(8) {
	case 0:
		return errors.New("down")
	case 1:
		panic("oh")
	case 2:
		<-ctx.Done()
		return ctx.Err()
	case 3:
		time.Sleep(time.Duration(e.r.IntN(8)) * time.Second) // ignores ctx
	case 4:
		return &exporters.RejectedError{Events: len(s.Events), Snapshot: true}
	case 5:
		runtime.Goexit()
	}
	e.snapshots++
	for _, x := range s.Events {
		n, _ := strconv.Atoi(x.Message)
		e.events = append(e.events, n)
	}
	return nil
}

func (*randomExporter) Shutdown(context.Context) error { return nil }
