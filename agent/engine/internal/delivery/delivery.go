// SPDX-License-Identifier: Apache-2.0

// Package delivery calls one exporter on its own goroutine. It takes snapshots from a mailbox, so
// that the exporter does not block the sampler, limits the duration of each call, recovers
// panics, and counts every snapshot and event. If the exporter has an interval, it receives a
// summary of the ticks in it, see [Pace].
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
	"github.com/gmpulse/gmpulse/internal/agentlabel"
	"github.com/gmpulse/gmpulse/internal/guard"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// MaxEvents is the maximum number of events that wait for a failing exporter. If there are more,
// the oldest are dropped and counted. Events are rare, so the limit is reached only after hours.
const MaxEvents = 1024

// queueStatsWait is how long Stats waits for the statistics of an exporter's queue.
const queueStatsWait = 10 * time.Millisecond

// Delivery delivers snapshots to one exporter. [New] makes one.
type Delivery struct {
	exporter exporters.Exporter
	poll     func() exporters.Stats // returns the statistics of the exporter's queue; nil if it has none
	polling  sync.Mutex             // held during a poll; locked before mu
	poller   guard.Poller[exporters.Stats]
	timeout  time.Duration
	logger   *slog.Logger
	wake     chan struct{}         // capacity 1: the mailbox or closing has changed
	current  *runtimeinfo.Snapshot // of the current call; used only by the goroutine of Start
	stopped  chan struct{}         // closed when the goroutine of Start has ended
	logging  sync.WaitGroup        // goroutines of noticeOverdue; Wait waits for them

	mu         sync.Mutex
	schedule   schedule
	summary    runtimeinfo.Summary // ticks that no snapshot in the mailbox or delivered covers
	mailbox    *runtimeinfo.Snapshot
	last       *runtimeinfo.Snapshot // passed to Stop; delivered after the one in the mailbox
	queueStats exporters.Stats       // the last result of poll
	broken     bool                  // poll has panicked
	slow       bool                  // the last call ended with a timeout
	events     []runtimeinfo.Event   // wait for the next call
	inFlight   int                   // number of events in the current call
	calling    time.Time             // start of the current call; zero if there is none
	overdue    bool                  // the current call has exceeded the timeout
	closing    context.Context       //nolint:containedctx // passes the context of Stop to the last calls
	abandoned  bool                  // Stop has counted everything; later results are ignored
	cancel     context.CancelFunc    // cancels the current call
	stats      exporters.Stats
}

// New returns a Delivery. timeout limits each call of the exporter. queue returns the statistics
// of the exporter's queue; it is nil if the exporter has none.
func New(name string, e exporters.Exporter, queue func() exporters.Stats, pace Pace, timeout time.Duration, logger *slog.Logger) *Delivery {
	return &Delivery{
		schedule: schedule{pace: pace},
		exporter: e,
		poll:     queue,
		timeout:  timeout,
		logger:   logger.With(slog.String("exporter", name)),
		wake:     make(chan struct{}, 1),
		stopped:  make(chan struct{}),
		stats:    exporters.Stats{Name: name, State: exporters.StateIdle, Interval: max(pace.Interval, pace.Tick)},
	}
}

// Post adds the snapshot of a tick to the current interval. At the end of the interval, and if events
// wait, it puts a summary of the interval into the mailbox. If the mailbox holds one, the new one also
// covers its ticks; Post counts the old one as dropped and keeps its events. Post does not wait for
// the exporter.
func (d *Delivery) Post(s *runtimeinfo.Snapshot) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closing != nil {
		return
	}
	d.summary.Add(s)
	d.accept(s.Events)
	d.noticeOverdue()
	if d.schedule.take(time.Now(), len(d.events) > 0) {
		d.stats.Snapshots.Accepted++
		d.fillMailbox()
		d.signal()
	}
}

// accept counts and queues events. mu is held.
func (d *Delivery) accept(events []runtimeinfo.Event) {
	d.stats.Events.Accepted += uint64(len(events))
	d.queue(events)
}

// fillMailbox puts a summary of the current interval into the mailbox and begins the next interval. mu is
// held.
func (d *Delivery) fillMailbox() {
	if d.mailbox != nil {
		d.stats.Snapshots.Drop(exporters.DropReplaced, 1)
		d.summary.Add(d.mailbox)
	}
	d.mailbox = d.summary.Snapshot()
	d.summary.Reset()
}

// Start starts the goroutine that calls the exporter until Stop is called. Then it delivers what is
// pending and shuts down the exporter. The caller must call Wait.
func (d *Delivery) Start(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	d.mu.Lock()
	d.cancel = cancel
	d.mu.Unlock()
	pprof.Do(ctx, pprof.Labels(agentlabel.Key, "exporter"), d.run) // which the goroutine inherits
}

// Wait waits for the end of the goroutine of Start.
func (d *Delivery) Wait() {
	<-d.stopped
	d.poller.Wait()
	d.logging.Wait()
}

// run starts the goroutine. If Export panics, which ends the goroutine, it starts another one.
func (d *Delivery) run(ctx context.Context) {
	guard.Go(func() error {
		d.serve(ctx)
		return nil
	}, func(err error) {
		if err == nil {
			d.cancel()
			close(d.stopped)
			return
		}
		d.endCall(err)
		d.signal() // for what came during the call, and for Stop
		d.run(ctx)
	})
}

// serve calls the exporter until it is shut down.
func (d *Delivery) serve(ctx context.Context) {
	for range d.wake {
		pprof.SetGoroutineLabels(ctx) // the last call may have changed them
		closing := d.closingContext()
		if closing == nil {
			d.deliver(ctx)
			continue
		}
		if !d.timedOut() {
			d.deliver(closing) //nolint:contextcheck // the last calls use the context of Stop
		}
		d.advance()
		d.deliver(closing)  //nolint:contextcheck // see above
		d.shutdown(closing) //nolint:contextcheck // see above
		return
	}
}

// Stop makes the goroutine of Start deliver the pending snapshot and then a summary of the current
// interval that ends with last, and shut down the exporter. last is nil if the engine never ran. If
// the previous call has timed out, the summary replaces the pending snapshot. Stop returns when that
// goroutine has ended or ctx is done, and counts undelivered snapshots and events as dropped. Start
// must have been called. Stop must be called once.
func (d *Delivery) Stop(ctx context.Context, last *runtimeinfo.Snapshot) error {
	d.mu.Lock()
	d.closing = ctx
	if d.last = last; last != nil {
		d.stats.Snapshots.Accepted++
		d.accept(last.Events)
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

func (d *Delivery) signal() {
	select {
	case d.wake <- struct{}{}:
	default: // the last signal has not been received yet
	}
}

func (d *Delivery) closingContext() context.Context {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.closing
}

// deliver calls Export if the mailbox holds a snapshot.
func (d *Delivery) deliver(ctx context.Context) {
	if d.current = d.beginCall(); d.current == nil {
		return
	}
	d.endCall(guard.Here(ctx, d.timeout, func(ctx context.Context) error { return d.exporter.Export(ctx, d.current) }))
}

// beginCall empties the mailbox and records the start of a call. It returns the snapshot with the
// waiting events, or nil if the mailbox is empty.
func (d *Delivery) beginCall() *runtimeinfo.Snapshot {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.mailbox
	if s == nil {
		return nil
	}
	if len(s.Events)+len(d.events) > 0 {
		s = s.WithEvents(d.events)
	}
	d.mailbox, d.events = nil, nil
	d.inFlight = len(s.Events)
	d.calling = time.Now()
	return s
}

// endCall counts the result of the current call. The events of a failed call wait for the next call, before
// newer events, and its ticks become a part of the next snapshot.
func (d *Delivery) endCall(err error) {
	s := d.current
	d.current = nil
	d.mu.Lock()
	took := time.Since(d.calling)
	d.calling, d.inFlight = time.Time{}, 0
	if d.abandoned {
		d.mu.Unlock()
		return
	}
	was := d.stats.State
	d.stats.LastDuration = took
	d.slow = errors.Is(err, guard.ErrTimeout)
	if !guard.CountDelivery(&d.stats, len(s.Events), err) {
		d.stats.Snapshots.Drop(exporters.DropFailed, 1)
		d.restore(s)
		d.schedule.failed(time.Now())
		newer := d.events
		d.events = nil
		d.queue(s.Events)
		d.queue(newer)
		guard.CountFailure(&d.stats, err)
		if d.overdue && errors.Is(err, guard.ErrTimeout) {
			d.stats.Timeouts-- // noticeOverdue has counted it
		}
	}
	d.overdue = false
	d.mu.Unlock()
	guard.LogChange(d.logger, was, err)
}

// restore adds the ticks of a failed call to the next snapshot. mu is held.
func (d *Delivery) restore(s *runtimeinfo.Snapshot) {
	if d.mailbox == nil {
		d.summary.Add(s)
		return
	}
	var both runtimeinfo.Summary
	both.Add(s)
	both.Add(d.mailbox)
	d.mailbox = both.Snapshot()
}

// queue appends events and drops the oldest if there are more than MaxEvents. mu is held.
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

// noticeOverdue counts and logs a call that has exceeded the timeout and has not returned, because
// the exporter ignores its context. mu is held. It logs on another goroutine, because the logger
// may hang.
func (d *Delivery) noticeOverdue() {
	if d.calling.IsZero() || d.overdue || time.Since(d.calling) <= d.timeout {
		return
	}
	d.overdue = true
	was, err := d.stats.State, fmt.Errorf("%w: the call has not returned after %v", guard.ErrTimeout, d.timeout)
	guard.CountFailure(&d.stats, err)
	d.logging.Go(func() { guard.LogChange(d.logger, was, err) })
}

// shutdown shuts down the exporter. The call may last until the deadline of Stop, so that a queue
// can deliver its records.
func (d *Delivery) shutdown(ctx context.Context) {
	timeout := d.timeout
	if deadline, ok := ctx.Deadline(); ok {
		timeout = max(timeout, time.Until(deadline))
	}
	err := guard.Call(ctx, timeout, d.exporter.Shutdown)
	if err != nil {
		d.logger.Warn("gmpulse: the shutdown of an exporter failed", slog.Any("error", err))
	}
}

// timedOut reports whether the last call ended with a timeout. Then the last snapshot replaces the
// pending one, because delivering both could take two timeouts.
func (d *Delivery) timedOut() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.slow
}

// advance puts a summary that ends with the last snapshot into the mailbox.
func (d *Delivery) advance() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.last == nil {
		return
	}
	d.summary.Add(d.last)
	d.last = nil
	d.fillMailbox()
}

// abandon cancels the current call and counts everything undelivered as dropped.
func (d *Delivery) abandon() {
	d.mu.Lock()
	if d.cancel != nil {
		d.cancel()
	}
	d.mu.Unlock()
	d.pollQueue() // after cancel, so that the queue accepts nothing more
	d.mu.Lock()
	defer d.mu.Unlock()
	d.abandoned = true
	d.stats.State = exporters.StateStopped
	d.countAccepted()
	d.stats.Events.Drop(exporters.DropShutdown, uint64(len(d.events)+d.inFlight))
	d.events, d.inFlight = nil, 0
	for _, pending := range []bool{d.mailbox != nil, d.last != nil, !d.calling.IsZero()} {
		if pending {
			d.stats.Snapshots.Drop(exporters.DropShutdown, 1)
		}
	}
	d.mailbox, d.last, d.calling = nil, nil, time.Time{}
}
