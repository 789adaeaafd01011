// SPDX-License-Identifier: Apache-2.0

// Package spool keeps what a push exporter cannot deliver yet. It wraps any
// exporter, those of this project or one of your own:
//
//	next, err := fluentd.New(fluentd.Config{URL: "tcp://127.0.0.1:24224"})
//	exp, err := spool.New(next, spool.Config{Name: "fluentd", Dir: "/var/lib/checkout/gmpulse"})
//	e, err := engine.New(engine.WithExporter("fluentd", exp))
//
// package agent does this for GMPULSE_FLUENTD; GMPULSE_SPOOL_DIR is Dir.
//
// # Promise
//
// What Export has taken is delivered at least once, in order, or counted with the
// reason why not:
//
//	accepted = delivered + dropped{reason} + pending
//
// holds at every moment, over restarts too: what an earlier process left on disk
// counts as accepted (and recovered) by the one that finds it. Export waits for
// nobody: with a directory a record is delivered, or on disk after 20 ms and at most two
// fsyncs, one that is under way and its own. Only a process killed before loses it, or
// one whose disk is out of order: SpoolStats.Unsaved counts such records. What is on
// disk survives a loss of power too. [Exporter.Sync] waits for it. While the backend
// keeps up, the disk is not touched.
//
// Records arrive twice when an acknowledgement was lost, or a process killed
// between delivery and noting it: at most the last 16, or the last second's.
// The id of a record ([exporters.Record]) tells a receiver which are the same.
//
// # What gives way
//
// Records beyond [Config].MaxBytes or MaxAge give way, oldest first; snapshots
// with events only when there are none without. A record that fails again and
// again while others pass goes to a file of dead letters, NAME.dead.jsonl. A store
// that is damaged is set aside as NAME.db.damaged and a new one begun. Records that a
// newer version wrote are kept for it until MaxAge. A file that belongs to another user,
// or that others can write, is left as it is. Where the
// disk is full or read-only, records wait in memory until it works again.
//
// # Processes
//
// One process uses one file at a time. Another process on the same directory gets
// a file of its own, NAME.2.db and so on; the next process that starts takes over
// what such a file still holds once nobody uses it.
//
// # Cost
//
// A snapshot of numbers only is about 1.6 KB, one of a service with spans, bands and
// labels 8 to 12 KB. While the backend keeps up it costs some 40 µs of CPU,
// most of them for waking goroutines up, 4.6 KB and 19 allocations, and no disk
// access. During an outage it costs 0.25 ms of CPU and a transaction with fsync
// (BenchmarkSpool, two shared cores). What waits on disk has an index in memory, some
// 130 bytes a snapshot: 0.7 MB when 64 MiB are full of such records.
package spool

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/internal/guard"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// drainLimit bounds a Shutdown whose ctx has no deadline.
const drainLimit = 10 * time.Second

// Exporter is an exporter behind a spool. Only [New] makes one. All methods may be
// called by several goroutines at once.
type Exporter struct {
	config  Config
	next    exporters.Exporter
	backlog *backlog
	sender  *sender
	keeper  *keeper // nil without a directory

	encoding sync.Mutex
	enc      runtimeinfo.Encoder

	mu      sync.Mutex
	cancel  context.CancelFunc // ends the call under way; nil: not started
	closing bool
}

var _ exporters.Exporter = (*Exporter)(nil)

// New wraps an exporter. It opens nothing and starts nothing: the first Export
// does. The error is one of configuration and names each field that is wrong.
func New(next exporters.Exporter, cfg Config) (*Exporter, error) {
	c, err := cfg.complete()
	if next == nil {
		err = errors.Join(err, errors.New("spool: the exporter is nil"))
	}
	if err != nil {
		return nil, err
	}
	b := &backlog{
		maxBytes: c.MaxBytes, maxMemory: c.MaxMemory, maxAge: c.MaxAge, timeout: c.Timeout, durable: c.Dir != "",
		schemas: map[runtimeinfo.SchemaID][]byte{},
		stats:   runtimeinfo.ExporterStats{Name: c.Name, State: runtimeinfo.ExporterIdle},
	}
	x := &Exporter{config: c, next: next, backlog: b}
	x.sender = &sender{
		config: c, next: next, backlog: b,
		wake:    make(chan struct{}, 1),
		closing: make(chan struct{}),
		done:    make(chan struct{}),
	}
	if c.Dir != "" {
		x.keeper = newKeeper(c, b)
		x.sender.keeper = x.keeper
		x.sender.letters = &deadLetters{path: filepath.Join(c.Dir, c.Name+".dead.jsonl"), max: maxDeadLetterFile}
	}
	return x, nil
}

// Export takes s, to be delivered later, and returns at once. It fails when ctx is done already, with
// nothing taken, after Shutdown ([exporters.ErrShutdown]), and with an
// [exporters.RejectedError] for what is above [runtimeinfo.MaxEncodedEvent]. What the
// backend says is in [Exporter.ExporterStats].
func (x *Exporter) Export(ctx context.Context, s *runtimeinfo.Snapshot) error {
	s, refused := fitting(s)
	e, schema, err := x.encode(s)
	if err != nil {
		return &exporters.RejectedError{Events: len(s.Events) + refused, Snapshot: true, Err: fmt.Errorf("spool: snapshot %d: %w", s.Seq, err)}
	}
	if !x.start() { //nolint:contextcheck // the goroutines outlive this call
		return exporters.ErrShutdown
	}
	if err := x.backlog.accept(ctx, e, schema); err != nil {
		return err
	}
	x.sender.signal()
	if x.keeper != nil {
		x.keeper.signal()
	}
	x.backlog.noticeOverdue(x.sender.tell)
	if refused > 0 {
		return &exporters.RejectedError{Events: refused, Err: fmt.Errorf("spool: %d events of snapshot %d: %w", refused, s.Seq, runtimeinfo.ErrTooLarge)}
	}
	return nil
}

// fitting leaves out events that are too large for any backend.
func fitting(s *runtimeinfo.Snapshot) (fit *runtimeinfo.Snapshot, refused int) {
	var kept []runtimeinfo.Event
	for i := range s.Events {
		if runtimeinfo.EncodedSize(&s.Events[i]) <= runtimeinfo.MaxEncodedEvent {
			kept = append(kept, s.Events[i])
		}
	}
	if refused = len(s.Events) - len(kept); refused > 0 {
		s = s.WithEvents(kept)
	}
	return s, refused
}

func (x *Exporter) encode(s *runtimeinfo.Snapshot) (*entry, []byte, error) {
	x.encoding.Lock()
	defer x.encoding.Unlock()
	body, err := x.enc.Append(make([]byte, 0, 2<<10), s)
	id, schema := x.enc.Schema()
	return &entry{at: time.Now(), events: len(s.Events), size: overhead + int64(len(body)), schema: id, body: body}, schema, err
}

// start starts the goroutines, once. It is false after Shutdown.
func (x *Exporter) start() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closing {
		return false
	}
	if x.cancel == nil {
		ctx, cancel := context.WithCancel(context.Background())
		x.cancel = cancel
		if x.keeper != nil {
			go x.keeper.run() // Shutdown waits for keeper.done
		}
		go x.sender.run(ctx) // and for sender.done
	}
	return true
}

func (s *sender) signal() {
	select {
	case s.wake <- struct{}{}:
	default: // it has not seen the last one yet
	}
}

// Sync returns when all that Export has taken before is delivered, dropped or on
// disk: the end of the process then loses none of it. Without a directory it waits
// for the backend. The error is that of ctx.
func (x *Exporter) Sync(ctx context.Context) error {
	for _, safe := range x.backlog.unsafe() {
		select {
		case <-safe:
		case <-ctx.Done():
			return fmt.Errorf("spool: records of %s are in memory only: %w", x.config.Name, context.Cause(ctx))
		}
	}
	return nil
}

// Shutdown delivers what waits, trying until ctx is about to end, and shuts the
// exporter down. What is left then stays on disk for the next process; without a
// directory it is counted as dropped. It returns by the deadline of ctx, or after
// 10 s where ctx has none, whatever the exporter does. Calling it again waits for
// the same end.
func (x *Exporter) Shutdown(ctx context.Context) error {
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	if !x.close() {
		return x.shutdownNext(ctx)
	}
	busy := x.drain(ctx)
	x.cancel()
	var err error
	if x.keeper != nil {
		err = x.closeStore(ctx)
	}
	x.backlog.abandon()
	if busy != nil {
		go x.shutdownLater() //nolint:contextcheck // ctx is over; nobody can wait for a call that does not end
		return errors.Join(busy, err)
	}
	return errors.Join(err, x.shutdownNext(ctx))
}

// shutdownLater shuts the exporter down when the call that is under way has ended: it
// must not be touched before.
func (x *Exporter) shutdownLater() {
	<-x.sender.done
	_ = guard.Call(context.Background(), drainLimit, x.next.Shutdown) // nobody is left to tell
}

func withDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, drainLimit, errors.New("no deadline was given"))
}

// close ends Export. It tells whether anything was started.
func (x *Exporter) close() (started bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.closing {
		x.closing = true
		x.backlog.close()
		close(x.sender.closing)
		x.sender.signal()
	}
	return x.cancel != nil
}

// drain waits until the sender has done what it can, and cuts off its call when
// the rest of the time is needed to save what is left.
func (x *Exporter) drain(ctx context.Context) error {
	deadline, _ := ctx.Deadline()
	margin := min(time.Until(deadline)/4, time.Second)
	sending, cancel := context.WithDeadline(ctx, deadline.Add(-margin))
	defer cancel()
	select {
	case <-x.sender.done:
		return nil
	case <-sending.Done():
	}
	x.cancel()
	select {
	case <-x.sender.done:
		return nil
	case <-ctx.Done():
	case <-time.After(margin / 2): // an exporter that ignores its context
	}
	return fmt.Errorf("spool: the exporter %s has not returned from Export: %w", x.config.Name, context.DeadlineExceeded)
}

func (x *Exporter) closeStore(ctx context.Context) error {
	x.mu.Lock()
	select {
	case <-x.keeper.stop: // a Shutdown before this one
	default:
		close(x.keeper.stop)
	}
	x.mu.Unlock()
	select {
	case <-x.keeper.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("spool: the disk of %s is still busy: %w", x.config.Dir, context.Cause(ctx))
	}
}

// shutdownNext does not wait longer than ctx, whatever the exporter does.
func (x *Exporter) shutdownNext(ctx context.Context) error {
	done := make(chan error, 1)
	go func() { done <- guard.Call(ctx, drainLimit, x.next.Shutdown) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-done: // both at once
		return err
	default:
		return fmt.Errorf("spool: the exporter %s does not shut down: %w", x.config.Name, context.Cause(ctx))
	}
}

// ExporterStats returns the account of what went into the spool, and how the
// exporter behind it does. It waits for nothing.
//
// The engine of package agent/engine takes it for the account of the exporter:
// any exporter with this method that must not block is asked once a tick.
func (x *Exporter) ExporterStats() runtimeinfo.ExporterStats { return x.backlog.report() }
