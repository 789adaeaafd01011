// SPDX-License-Identifier: Apache-2.0

package delivery_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gmpulse/gmpulse/agent/engine/internal/delivery"
	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// queue is an exporter that accepts every snapshot and delivers when the test calls deliver.
type queue struct {
	hold chan struct{} // if not nil, Export waits until it is closed

	mu    sync.Mutex
	stats exporters.Stats
}

func (q *queue) Export(ctx context.Context, s *runtimeinfo.Snapshot) error {
	q.mu.Lock()
	if ctx.Err() != nil {
		q.mu.Unlock()
		return ctx.Err()
	}
	q.count(func(a *exporters.Account, n uint64) { a.Accepted += n; a.Pending += n }, uint64(len(s.Events)))
	q.mu.Unlock()
	if q.hold != nil {
		<-q.hold
	}
	return nil
}

func (q *queue) Shutdown(context.Context) error { return nil }

func (q *queue) count(f func(a *exporters.Account, n uint64), events uint64) {
	f(&q.stats.Snapshots, 1)
	f(&q.stats.Events, events)
}

func (q *queue) ExporterStats() exporters.Stats {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.stats
}

func (q *queue) deliver(events uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.count(func(a *exporters.Account, n uint64) { a.Pending -= n; a.Delivered += n }, events)
}

var _ exporters.Exporter = (*queue)(nil)

// The statistics of an exporter with a queue are the sum of mailbox and queue.
func TestStatsIncludeTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &queue{stats: exporters.Stats{State: exporters.StateFailing, LastError: "down"}}
		q.stats.Snapshots = exporters.Account{Accepted: 5, Recovered: 5, Pending: 5} // from an earlier process
		d := delivery.New("test", q, q.ExporterStats, delivery.Pace{}, timeout, slog.New(slog.DiscardHandler))
		d.Start(t.Context())
		for range 3 {
			d.Post(snapshot("e", "f"))
			synctest.Wait()
			balanced(t, d)
		}
		s := d.Stats()
		if s.Snapshots.Accepted != 8 || s.Snapshots.Pending != 8 || s.Events.Pending != 6 || s.Snapshots.Delivered != 0 || s.State != exporters.StateFailing || s.LastError != "down" {
			t.Errorf("while the queue holds everything: %+v", s)
		}
		q.deliver(2)
		q.deliver(2)
		if s := d.Stats(); s.Snapshots.Delivered != 2 || s.Snapshots.Pending != 6 || s.Events.Delivered != 4 || s.Events.Pending != 2 {
			t.Errorf("after it has delivered two: %+v", s)
		}
		if err := d.Stop(t.Context(), nil); err != nil {
			t.Error(err)
		}
		balanced(t, d)
		if s := d.Stats(); s.Snapshots.Pending != 6 || s.Snapshots.Lost() != 0 || s.State != exporters.StateStopped {
			t.Errorf("what is left in the queue counts as pending: %+v", s)
		}
	})
}

// A snapshot that the queue has accepted in a call that does not return is counted once, and not
// as dropped.
func TestCallThatHangsAfterTheQueueHasAccepted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &queue{hold: make(chan struct{})}
		d := delivery.New("test", q, q.ExporterStats, delivery.Pace{}, timeout, slog.New(slog.DiscardHandler))
		d.Start(t.Context())
		d.Post(snapshot("e"))
		synctest.Wait()
		balanced(t, d)
		if s := d.Stats(); s.Snapshots.Pending != 1 || s.Events.Pending != 1 {
			t.Errorf("while Export hangs: %+v", s)
		}
		d.Post(snapshot("f"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := d.Stop(ctx, nil); err == nil {
			t.Error("Stop returned nil although the exporter is busy")
		}
		balanced(t, d)
		s := d.Stats()
		if s.Snapshots.Pending != 1 || s.Events.Pending != 1 || s.Events.Dropped(exporters.DropShutdown) != 1 {
			t.Errorf("after Stop: %+v", s)
		}
		close(q.hold)
		synctest.Wait()
		balanced(t, d)
	})
}
