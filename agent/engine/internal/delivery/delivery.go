// SPDX-License-Identifier: Apache-2.0

// Package delivery calls one exporter: on a goroutine of its own, from a mailbox that never
// blocks the sampler, with a deadline for each call, with recovery of panics, and with
// statistics that balance.
package delivery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/pprof"
	"slices"
	"sync"
	"time"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/internal/guard"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// ProfilerLabel is the pprof label of every goroutine that the agent starts.
const ProfilerLabel = "gmpulse"

// MaxEvents is the maximum number of events that wait for a failing exporter. When there
// are more, the oldest are dropped and counted. Events are rare: these last for hours.
const MaxEvents = 1024

// accountWait is how long the agent waits for the statistics of an exporter's queue.
const accountWait = 10 * time.Millisecond

// Delivery hands snapshots to one exporter. Make one with [New].
type Delivery struct {
	exporter exporters.Exporter
	account  func() exporters.Stats // of the exporter's own queue, nil if it has none
	asking   sync.Mutex             // before mu
	question guard.Poller[exporters.Stats]
	timeout  time.Duration
	logger   *slog.Logger
	wake     chan struct{}  // capacity 1: something changed
	stopped  chan struct{}  // closed when Run has returned
	telling  sync.WaitGroup // of a call that does not return; Run waits for it

	mu       sync.Mutex
	mailbox  *runtimeinfo.Snapshot
	last     *runtimeinfo.Snapshot // of Stop: it waits for the one in the mailbox
	queued   exporters.Stats       // the last account of the queue
	broken   bool                  // asking for it has panicked
	slow     bool                  // the last call ended with a timeout
	events   []runtimeinfo.Event   // to go with the next snapshot
	inFlight int                   // events with the call under way
	calling  time.Time             // start of the call under way, else zero
	overdue  bool                  // the call under way is past its deadline
	closing  context.Context       //nolint:containedctx // how long the caller of Stop waits; Run needs it for its last calls
	given    bool                  // Stop gave up: later results no longer count
	cancel   context.CancelFunc    // ends the call under way
	stats    exporters.Stats
}

// New returns a Delivery. Each call of the exporter may take up to timeout. queue returns
// the account of the exporter's own queue; it is nil if it has none.
func New(name string, e exporters.Exporter, queue func() exporters.Stats, timeout time.Duration, logger *slog.Logger) *Delivery {
	return &Delivery{
		exporter: e,
		account:  queue,
		timeout:  timeout,
		logger:   logger.With(slog.String("exporter", name)),
		wake:     make(chan struct{}, 1),
		stopped:  make(chan struct{}),
		stats:    exporters.Stats{Name: name, State: exporters.StateIdle},
	}
}

// Post puts a snapshot into the mailbox. An unread one is replaced and the drop
// counted; its events are carried over. Post never blocks on the exporter.
func (d *Delivery) Post(s *runtimeinfo.Snapshot) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closing != nil {
		return
	}
	if d.mailbox != nil {
		d.stats.Snapshots.Drop(exporters.DropReplaced, 1)
	}
	d.mailbox = s
	d.accept(s)
	d.noticeOverdue()
	d.signal()
}

// accept counts a snapshot and takes its events. mu is held.
func (d *Delivery) accept(s *runtimeinfo.Snapshot) {
	d.stats.Snapshots.Accepted++
	d.stats.Events.Accepted += uint64(len(s.Events))
	d.queue(s.Events)
}

// Run calls the exporter until Stop, then with what is left, and shuts it down. The
// caller must wait for it.
func (d *Delivery) Run(ctx context.Context) {
	defer close(d.stopped)
	defer d.telling.Wait()
	defer d.question.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	d.mu.Lock()
	d.cancel = cancel
	d.mu.Unlock()
	pprof.Do(ctx, pprof.Labels(ProfilerLabel, "exporter"), func(ctx context.Context) {
		for range d.wake {
			closing := d.closingContext()
			if closing == nil {
				d.deliver(ctx)
				continue
			}
			if !d.timedOut() {
				d.deliver(closing) //nolint:contextcheck // the last calls have as long as the caller of Stop waits
			}
			d.advance()
			d.deliver(closing)  //nolint:contextcheck // see above
			d.shutdown(closing) //nolint:contextcheck // see above
			return
		}
	})
}

// Stop ends Run after delivering what waits and then last, nil for nothing: last does
// not replace an unread snapshot, unless the last call timed out. Stop returns when the exporter is shut down or when ctx
// is done; then what was not delivered is counted as dropped. Run must have been
// started, and Stop be called once.
func (d *Delivery) Stop(ctx context.Context, last *runtimeinfo.Snapshot) error {
	d.mu.Lock()
	d.closing = ctx
	if d.last = last; last != nil {
		d.accept(last)
	}
	d.mu.Unlock()
	d.signal()
	var err error
	select {
	case <-d.stopped:
	case <-ctx.Done():
		err = fmt.Errorf("exporter %s is still busy: %w", d.stats.Name, context.Cause(ctx))
	}
	d.abandon()
	return err
}

// Stats returns the account so far. It waits 10 ms at most for an exporter that keeps
// an account of its own.
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
	if d.account != nil {
		return merge(s, d.queued)
	}
	return s
}

// pollQueue gets the statistics of the exporter's queue, without holding mu: the function
// is foreign code.
func (d *Delivery) pollQueue() {
	if d.account == nil {
		return
	}
	d.asking.Lock() // an older account must not take the place of a newer one
	defer d.asking.Unlock()
	queued, err := d.question.Poll(accountWait, d.account)
	p := guard.Panicked(err)
	d.mu.Lock()
	if err == nil {
		d.queued = queued
	}
	first := p != nil && !d.broken
	if first {
		d.broken = true
		d.stats.Panics++
		d.stats.LastError = err.Error()
	}
	d.mu.Unlock()
	if first {
		d.logger.Error("gmpulse: the account of an exporter panicked", slog.Any("error", err), slog.String("stack", string(p.Stack)))
	}
}

// merge adds the statistics of a queue to those of the mailbox.
func merge(s, queue exporters.Stats) exporters.Stats {
	s.Snapshots, s.Events = add(s.Snapshots, queue.Snapshots), add(s.Events, queue.Events)
	s.Errors += queue.Errors
	s.Timeouts += queue.Timeouts
	s.Panics += queue.Panics
	s.Spool, s.LastSuccess, s.LastDuration = queue.Spool, queue.LastSuccess, queue.LastDuration
	if s.State == exporters.StateOK || s.State == exporters.StateIdle {
		s.State = queue.State // the mailbox is well: it is the backend that counts
	}
	if queue.LastError != "" {
		s.LastError = queue.LastError
	}
	return s
}

// add sums up both accounts. What the mailbox counts as delivered is what the
// queue has accepted, less what is being handed over at this moment and counted
// by both: so what is pending is taken as the difference.
func add(a, queue exporters.Account) exporters.Account {
	a.Recovered = queue.Recovered
	a.Accepted += queue.Recovered
	a.Delivered = queue.Delivered
	for _, r := range exporters.DropReasons() {
		a.Drop(r, queue.Dropped(r))
	}
	settled := a.Delivered + a.Lost()
	a.Accepted = max(a.Accepted, settled) // foreign code: the account must balance
	a.Pending = a.Accepted - settled
	return a
}

func (d *Delivery) signal() {
	select {
	case d.wake <- struct{}{}:
	default: // Run has not seen the last signal yet
	}
}

func (d *Delivery) closingContext() context.Context {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.closing
}

// deliver makes one call of Export, if there is anything to deliver.
func (d *Delivery) deliver(ctx context.Context) {
	s, events := d.beginCall()
	if s == nil {
		return
	}
	if len(events) != len(s.Events) {
		s = s.WithEvents(events)
	}
	err := guard.Call(ctx, d.timeout, func(ctx context.Context) error { return d.exporter.Export(ctx, s) })
	d.endCall(events, err)
}

// beginCall empties the mailbox and notes the start of a call.
func (d *Delivery) beginCall() (*runtimeinfo.Snapshot, []runtimeinfo.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s, events := d.mailbox, d.events
	if s == nil {
		return nil, nil
	}
	d.mailbox, d.events = nil, nil
	d.inFlight = len(events)
	d.calling = time.Now()
	return s, events
}

// endCall counts the result of a call and returns the events of a failed call to the front
// of the queue.
func (d *Delivery) endCall(events []runtimeinfo.Event, err error) {
	d.mu.Lock()
	took := time.Since(d.calling)
	d.calling, d.inFlight = time.Time{}, 0
	if d.given {
		d.mu.Unlock()
		return
	}
	was := d.stats.State
	d.stats.LastDuration = took
	d.slow = errors.Is(err, guard.ErrTimeout)
	if !guard.CountDelivery(&d.stats, len(events), err) {
		d.stats.Snapshots.Drop(exporters.DropFailed, 1)
		newer := d.events
		d.events = nil
		d.queue(events)
		d.queue(newer)
		guard.CountFailure(&d.stats, err)
		if d.overdue && errors.Is(err, guard.ErrTimeout) {
			d.stats.Timeouts-- // it was counted while it lasted
		}
	}
	d.overdue = false
	d.mu.Unlock()
	guard.LogChange(d.logger, was, err)
}

// queue appends events, dropping the oldest beyond the bound. mu is held.
func (d *Delivery) queue(events []runtimeinfo.Event) {
	if len(events) == 0 {
		return
	}
	d.events = append(slices.Clip(d.events), events...)
	if n := len(d.events) - MaxEvents; n > 0 {
		d.events = d.events[n:]
		d.stats.Events.Drop(exporters.DropOverflow, uint64(n))
	}
}

// noticeOverdue counts and logs a call past its deadline while it lasts: the exporter may
// ignore its context. mu is held. Another goroutine logs, because the logger may hang.
func (d *Delivery) noticeOverdue() {
	if d.calling.IsZero() || d.overdue || time.Since(d.calling) <= d.timeout {
		return
	}
	d.overdue = true
	was, err := d.stats.State, fmt.Errorf("%w: the call has not returned after %v", guard.ErrTimeout, d.timeout)
	guard.CountFailure(&d.stats, err)
	d.telling.Go(func() { guard.LogChange(d.logger, was, err) })
}

// shutdown may take as long as the caller of Stop waits: a queue uses the time to
// deliver.
func (d *Delivery) shutdown(ctx context.Context) {
	timeout := d.timeout
	if deadline, ok := ctx.Deadline(); ok {
		timeout = max(timeout, time.Until(deadline))
	}
	err := guard.Call(ctx, timeout, d.exporter.Shutdown)
	if err != nil {
		d.logger.Warn("gmpulse: exporter did not shut down", slog.Any("error", err))
	}
}

// timedOut reports whether the last call ended with a timeout. Then the last snapshot
// replaces an unread one: delivering both could take two timeouts.
func (d *Delivery) timedOut() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.slow
}

// advance puts the last snapshot into the mailbox.
func (d *Delivery) advance() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.last == nil {
		return
	}
	if d.mailbox != nil {
		d.stats.Snapshots.Drop(exporters.DropReplaced, 1)
	}
	d.mailbox, d.last = d.last, nil
}

// abandon counts everything that still waits as dropped.
func (d *Delivery) abandon() {
	d.mu.Lock()
	if d.cancel != nil {
		d.cancel()
	}
	d.mu.Unlock()
	d.pollQueue() // the context of the call under way is done: a queue takes nothing more
	d.mu.Lock()
	defer d.mu.Unlock()
	d.given = true
	d.stats.State = exporters.StateStopped
	d.countAccepted()
	d.stats.Events.Drop(exporters.DropShutdown, uint64(len(d.events)+d.inFlight))
	d.events, d.inFlight = nil, 0
	for _, waits := range []bool{d.mailbox != nil, d.last != nil, !d.calling.IsZero()} {
		if waits {
			d.stats.Snapshots.Drop(exporters.DropShutdown, 1)
		}
	}
	d.mailbox, d.last, d.calling = nil, nil, time.Time{}
}

// countAccepted counts as handed over what the queue accepted in the current call. mu is
// held.
func (d *Delivery) countAccepted() {
	if d.account == nil || d.calling.IsZero() {
		return
	}
	q := d.queued
	if q.Snapshots.Accepted-q.Snapshots.Recovered > d.stats.Snapshots.Delivered {
		d.stats.Snapshots.Delivered++
		d.calling = time.Time{}
	}
	taken := int(q.Events.Accepted - q.Events.Recovered - d.stats.Events.Delivered)
	taken = min(max(taken, 0), d.inFlight) // foreign code: the account must balance
	d.stats.Events.Delivered += uint64(taken)
	d.inFlight -= taken
}
