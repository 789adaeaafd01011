// Package delivery gives one exporter what every exporter needs and none should
// write: a goroutine of its own, a mailbox that never blocks the sampler, a
// deadline for each call, recovery of its panics, and an account that balances.
package delivery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"runtime/pprof"
	"slices"
	"sync"
	"time"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// ProfilerLabel is the pprof label on every goroutine of the agent's own.
const ProfilerLabel = "gmpulse"

// MaxEvents is how many events wait for a failing exporter. Beyond it the
// oldest are dropped and counted. Events are rare: this is hours of trouble.
const MaxEvents = 1024

// Delivery hands snapshots to one exporter. Make one with [New].
type Delivery struct {
	exporter exporters.Exporter
	timeout  time.Duration
	logger   *slog.Logger
	wake     chan struct{} // capacity 1: something changed
	stopped  chan struct{} // closed when Run has returned

	mu       sync.Mutex
	mailbox  *runtimeinfo.Snapshot
	events   []runtimeinfo.Event // to go with the next snapshot
	inFlight int                 // events with the call under way
	calling  time.Time           // start of the call under way, else zero
	overdue  bool                // the call under way is past its deadline
	closing  context.Context     //nolint:containedctx // how long the caller of Stop waits; Run needs it for its last calls
	given    bool                // Stop gave up: later results no longer count
	cancel   context.CancelFunc  // ends the call under way
	stats    runtimeinfo.ExporterStats
}

// New returns a Delivery; each call of the exporter may take up to timeout.
func New(name string, e exporters.Exporter, timeout time.Duration, logger *slog.Logger) *Delivery {
	return &Delivery{
		exporter: e,
		timeout:  timeout,
		logger:   logger.With(slog.String("exporter", name)),
		wake:     make(chan struct{}, 1),
		stopped:  make(chan struct{}),
		stats:    runtimeinfo.ExporterStats{Name: name, State: runtimeinfo.ExporterIdle},
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
	d.stats.Snapshots.Accepted++
	if d.mailbox != nil {
		d.stats.Snapshots.Dropped[runtimeinfo.DropReplaced]++
	}
	d.mailbox = s
	d.stats.Events.Accepted += uint64(len(s.Events))
	d.queue(s.Events)
	d.noticeOverdue()
	d.signal()
}

// Run calls the exporter until Stop, then once more with what is left, and shuts
// it down. The caller must wait for it.
func (d *Delivery) Run(ctx context.Context) {
	defer close(d.stopped)
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
			d.deliver(closing)  //nolint:contextcheck // the last calls have as long as the caller of Stop waits
			d.shutdown(closing) //nolint:contextcheck // see above
			return
		}
	})
}

// Stop ends Run after one last delivery. It returns when the exporter is shut
// down or when ctx is done; then what was not delivered is counted as dropped.
// Run must have been started, and Stop be called once.
func (d *Delivery) Stop(ctx context.Context) error {
	d.mu.Lock()
	d.closing = ctx
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

// Stats returns the account so far.
func (d *Delivery) Stats() runtimeinfo.ExporterStats {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.stats
	s.Events.Pending = uint64(len(d.events) + d.inFlight)
	if d.mailbox != nil {
		s.Snapshots.Pending++
	}
	if !d.calling.IsZero() {
		s.Snapshots.Pending++
	}
	return s
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
	s, events := d.take()
	if s == nil {
		return
	}
	if len(events) != len(s.Events) {
		s = s.WithEvents(events)
	}
	err := d.call(ctx, func(ctx context.Context) error { return d.exporter.Export(ctx, s) })
	d.settle(events, err)
}

// take empties the mailbox and begins a call.
func (d *Delivery) take() (*runtimeinfo.Snapshot, []runtimeinfo.Event) {
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

// call bounds one call of foreign code and turns its panics into errors.
func (d *Delivery) call(ctx context.Context, f func(context.Context) error) (err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, d.timeout, errTimeout)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			err = &panicError{value: p, stack: debug.Stack()}
		}
	}()
	err = f(ctx)
	if err != nil && errors.Is(context.Cause(ctx), errTimeout) {
		err = fmt.Errorf("%w after %v: %w", errTimeout, d.timeout, err)
	}
	return err
}

// settle ends a call: the account, the state, and the events of a failed call
// back to the front of the queue.
func (d *Delivery) settle(events []runtimeinfo.Event, err error) {
	d.mu.Lock()
	took := time.Since(d.calling)
	d.calling, d.inFlight = time.Time{}, 0
	if d.given {
		d.mu.Unlock()
		return
	}
	was := d.stats.State
	d.stats.LastDuration = took
	var rejected *exporters.RejectedError
	switch {
	case err == nil:
		d.countSuccess(1, len(events))
	case errors.As(err, &rejected):
		d.countRejected(rejected, len(events))
	default:
		d.stats.Snapshots.Dropped[runtimeinfo.DropFailed]++
		newer := d.events
		d.events = nil
		d.queue(events)
		d.queue(newer)
		d.countFailure(err)
	}
	d.overdue = false
	d.mu.Unlock()
	d.logChange(was, err)
}

// countSuccess counts what was delivered. mu is held.
func (d *Delivery) countSuccess(snapshots, events int) {
	d.stats.Snapshots.Delivered += uint64(snapshots)
	d.stats.Events.Delivered += uint64(events)
	d.stats.State = runtimeinfo.ExporterOK
	d.stats.LastSuccess = time.Now()
}

// countRejected counts what an exporter refused for good, and the rest as
// delivered. mu is held.
func (d *Delivery) countRejected(r *exporters.RejectedError, events int) {
	refused := min(max(r.Events, 0), events) // foreign code: the account must balance
	d.stats.Events.Dropped[runtimeinfo.DropRejected] += uint64(refused)
	snapshots := 1
	if r.Snapshot {
		snapshots = 0
		d.stats.Snapshots.Dropped[runtimeinfo.DropRejected]++
	}
	d.countSuccess(snapshots, events-refused)
	d.countFailure(r)
}

// queue appends events, dropping the oldest beyond the bound. mu is held.
func (d *Delivery) queue(events []runtimeinfo.Event) {
	if len(events) == 0 {
		return
	}
	d.events = append(slices.Clip(d.events), events...)
	if n := len(d.events) - MaxEvents; n > 0 {
		d.events = d.events[n:]
		d.stats.Events.Dropped[runtimeinfo.DropOverflow] += uint64(n)
	}
}

// noticeOverdue makes a call that does not return visible while it lasts, for an
// exporter that ignores its context. mu is held.
func (d *Delivery) noticeOverdue() {
	if d.calling.IsZero() || d.overdue || time.Since(d.calling) <= d.timeout {
		return
	}
	d.overdue = true
	d.countFailure(fmt.Errorf("%w: the call has not returned after %v", errTimeout, d.timeout))
}

// countFailure counts one failed call, once. mu is held.
func (d *Delivery) countFailure(err error) {
	d.stats.State = runtimeinfo.ExporterFailing
	d.stats.LastError = err.Error()
	var p *panicError
	switch {
	case errors.As(err, &p):
		d.stats.Panics++
	case !errors.Is(err, errTimeout):
		d.stats.Errors++
	case d.calling.IsZero() && d.overdue: // counted while the call lasted
	default:
		d.stats.Timeouts++
	}
}

// logChange writes one line when the exporter begins to fail and one when it
// works again.
func (d *Delivery) logChange(was runtimeinfo.ExporterState, err error) {
	var p *panicError
	switch {
	case err == nil && was == runtimeinfo.ExporterFailing:
		d.logger.Info("gmpulse: exporter works again")
	case err == nil || was == runtimeinfo.ExporterFailing:
	case errors.As(err, &p):
		d.logger.Error("gmpulse: exporter panicked", slog.Any("error", err), slog.String("stack", string(p.stack)))
	default:
		d.logger.Warn("gmpulse: exporter fails", slog.Any("error", err))
	}
}

func (d *Delivery) shutdown(ctx context.Context) {
	err := d.call(ctx, d.exporter.Shutdown)
	if err != nil {
		d.logger.Warn("gmpulse: exporter did not shut down", slog.Any("error", err))
	}
}

// abandon closes the account: what is still waiting is dropped.
func (d *Delivery) abandon() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.given = true
	if d.cancel != nil {
		d.cancel()
	}
	d.stats.State = runtimeinfo.ExporterStopped
	d.stats.Events.Dropped[runtimeinfo.DropShutdown] += uint64(len(d.events) + d.inFlight)
	d.events, d.inFlight = nil, 0
	if d.mailbox != nil {
		d.stats.Snapshots.Dropped[runtimeinfo.DropShutdown]++
		d.mailbox = nil
	}
	if !d.calling.IsZero() {
		d.stats.Snapshots.Dropped[runtimeinfo.DropShutdown]++
		d.calling = time.Time{}
	}
}

var errTimeout = errors.New("timeout")

// panicError is a panic of foreign code.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v", e.value) }
