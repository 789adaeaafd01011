// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"cmp"
	"context"
	"sync/atomic"

	"github.com/gmpulse/gmpulse/agent/engine"
	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/spool"
	"github.com/gmpulse/gmpulse/exporters/webhook"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// maxWebhookBytes limits the events that wait on disk for a webhook: a thousand or more.
const maxWebhookBytes = 4 << 20

// newWebhook makes the webhook exporter. If the agent has a directory for records that wait, it is behind
// a spool of its own there.
func newWebhook(s *settings, page func() string) (engine.Option, error) {
	c := s.webhook
	if c.PageURL == nil {
		c.PageURL = page
	}
	x, err := webhook.New(c)
	if err != nil {
		return nil, about("WithWebhook", err)
	}
	if s.spool.Dir == "" {
		return engine.WithExporter("webhook", x, engine.EveryTick()), nil
	}
	q := s.spool
	q.Name, q.Logger = "webhook", s.logger
	q.MaxBytes = min(cmp.Or(q.MaxBytes, maxWebhookBytes), maxWebhookBytes)
	waiting, err := spool.New(x, q)
	e := &eventSpool{next: waiting}
	return engine.WithQueue("webhook", e, e.stats, engine.EveryTick()), about("GMPULSE_SPOOL_* or WithSpool", err)
}

// eventSpool is a spool of the events of snapshots, without their values.
type eventSpool struct {
	next    *spool.Exporter
	opened  atomic.Bool   // next has a snapshot, so it delivers what an earlier process has left
	skipped atomic.Uint64 // number of snapshots without events
}

var _ exporters.Exporter = (*eventSpool)(nil)

func (x *eventSpool) Export(ctx context.Context, s *runtimeinfo.Snapshot) error {
	if len(s.Events) == 0 && x.opened.Load() {
		x.skipped.Add(1)
		return nil
	}
	only := runtimeinfo.NewSnapshot()
	only.Seq, only.Time, only.Start, only.Resource, only.Events = s.Seq, s.Time, s.Start, s.Resource, s.Events
	err := x.next.Export(ctx, only)
	x.opened.Store(x.opened.Load() || err == nil)
	return err
}

func (x *eventSpool) Shutdown(ctx context.Context) error { return x.next.Shutdown(ctx) }

// stats counts a snapshot without events as delivered.
func (x *eventSpool) stats() exporters.Stats {
	n := x.skipped.Load()
	s := x.next.ExporterStats()
	s.Snapshots.Accepted += n
	s.Snapshots.Delivered += n
	return s
}
