// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"log/slog"
	"time"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/internal/guard"
)

// Stats returns the current statistics. It waits at most 10 ms for the statistics of a queue.
func (d *Delivery) Stats() exporters.Stats {
	d.pollQueue()
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.stats
	s.Events.Pending = uint64(len(d.events) + d.inFlight)
	if d.mailbox != nil {
		s.Snapshots.Pending++
	}
	if d.last != nil {
		s.Snapshots.Pending++
	}
	if !d.calling.IsZero() {
		s.Snapshots.Pending++
	}
	if d.poll != nil {
		return merge(s, d.queueStats)
	}
	return s
}

// pollQueue updates the statistics of the exporter's queue. It calls poll without holding mu,
// because poll may hang.
func (d *Delivery) pollQueue() {
	if d.poll == nil {
		return
	}
	d.polling.Lock() // so that an older result does not replace a newer one
	defer d.polling.Unlock()
	stats, err := d.poller.Poll(queueStatsWait, d.poll)
	p := guard.Panicked(err)
	d.mu.Lock()
	if err == nil {
		d.queueStats = stats
	}
	first := p != nil && !d.broken
	if first {
		d.broken = true
		d.stats.Panics++
		d.stats.LastError = err.Error()
	}
	d.mu.Unlock()
	if first {
		d.logger.Error("gmpulse: the statistics function of an exporter panicked", slog.Any("error", err), slog.String("stack", string(p.Stack)))
	}
}

// merge adds the statistics of a queue to the statistics of the mailbox.
func merge(s, queue exporters.Stats) exporters.Stats {
	s.Snapshots, s.Events = add(s.Snapshots, queue.Snapshots), add(s.Events, queue.Events)
	s.Errors += queue.Errors
	s.Timeouts += queue.Timeouts
	s.Panics += queue.Panics
	s.Spool, s.LastSuccess, s.LastDuration = queue.Spool, queue.LastSuccess, queue.LastDuration
	if s.State == exporters.StateOK || s.State == exporters.StateIdle {
		s.State = queue.State // the queue knows the state of the backend
	}
	if queue.LastError != "" {
		s.LastError = queue.LastError
	}
	return s
}

// add returns the counts of the mailbox and the queue together. A snapshot that the mailbox has
// delivered is one that the queue has accepted. During a call both count it as pending, so add
// computes the pending number as a difference.
func add(a, queue exporters.Account) exporters.Account {
	a.Recovered = queue.Recovered
	a.Accepted += queue.Recovered
	a.Delivered = queue.Delivered
	for _, r := range exporters.DropReasons() {
		a.Drop(r, queue.Dropped(r))
	}
	settled := a.Delivered + a.Lost()
	a.Accepted = max(a.Accepted, settled) // the statistics of the queue may be wrong
	a.Pending = a.Accepted - settled
	return a
}

// countAccepted counts as delivered what the queue has accepted in the current call. mu is held.
func (d *Delivery) countAccepted() {
	if d.poll == nil || d.calling.IsZero() {
		return
	}
	q := d.queueStats
	if q.Snapshots.Accepted-q.Snapshots.Recovered > d.stats.Snapshots.Delivered {
		d.stats.Snapshots.Delivered++
		d.calling = time.Time{}
	}
	accepted := int(q.Events.Accepted - q.Events.Recovered - d.stats.Events.Delivered)
	accepted = min(max(accepted, 0), d.inFlight) // the statistics of the queue may be wrong
	d.stats.Events.Delivered += uint64(accepted)
	d.inFlight -= accepted
}
