// SPDX-License-Identifier: Apache-2.0

package spool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"runtime/pprof"
	"time"

	"github.com/gmpulse/gmpulse/internal/agentlabel"
)

const (
	// grace is how long a record stays in memory while the backend is healthy. Most
	// records are delivered by then and never written.
	grace = 20 * time.Millisecond
	// deleteInterval and deleteBatch limit how long, and how many, delivered records
	// stay in the store. After a crash they are sent again.
	deleteInterval = time.Second
	deleteBatch    = 16

	minRetry = time.Second
	maxRetry = 30 * time.Second
)

// diskWriter writes the backlog to the store and reads bodies back. Its goroutine alone
// uses the store. On that goroutine a fault in mapped memory, for example because another
// process truncated the file, is a panic that the diskWriter recovers.
type diskWriter struct {
	config  Config
	backlog *backlog
	wake    chan struct{} // capacity 1: the backlog has changed
	reads   chan func()
	stop    chan struct{} // closed by Shutdown: write everything and return
	ready   chan struct{} // closed after the first attempt to open the store
	done    chan struct{} // closed when run returns

	store      *store // nil if not open
	attempts   int    // to open it that have failed in a row
	retryAt    time.Time
	retryDelay time.Duration
	lastCommit time.Time
}

func newDiskWriter(c Config, b *backlog) *diskWriter {
	return &diskWriter{
		config: c, backlog: b,
		wake:  make(chan struct{}, 1),
		reads: make(chan func()),
		stop:  make(chan struct{}),
		ready: make(chan struct{}),
		done:  make(chan struct{}),
	}
}

func (w *diskWriter) run() {
	defer close(w.done)
	debug.SetPanicOnFault(true)
	pprof.Do(context.Background(), pprof.Labels(agentlabel.Key, "spool"), func(context.Context) { w.loop() })
}

func (w *diskWriter) loop() {
	w.open()
	close(w.ready)
	next := time.NewTimer(0)
	defer next.Stop()
	for {
		select {
		case read := <-w.reads:
			read()
			continue
		case <-w.wake:
		case <-next.C:
		case <-w.stop:
			w.finish()
			return
		}
		next.Reset(w.work())
	}
}

// signal tells the diskWriter that the backlog has changed. A nil diskWriter ignores it.
func (w *diskWriter) signal() {
	if w == nil {
		return
	}
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// work writes what is due and returns when to call it again.
func (w *diskWriter) work() time.Duration {
	if wait := time.Until(w.retryAt); wait > 0 {
		return wait
	}
	if w.store == nil && !w.open() {
		return w.retryDelay
	}
	due, wait := w.backlog.due(time.Since(w.lastCommit))
	if due != nil {
		w.commit(due)
	}
	return wait
}

// commit writes d in one transaction.
func (w *diskWriter) commit(d *batch) {
	for i, e := range d.entries {
		d.put[i] = newRecord(e, d.put[i])
	}
	var first uint64
	err := recoverPanic(func() (err error) {
		first, err = w.store.commit(d.change)
		return err
	})
	if err != nil {
		w.backlog.markFailed(d)
		w.fail(err)
		return
	}
	w.lastCommit = time.Now()
	w.backlog.markSaved(d, first)
	w.succeed()
}

// recoverPanic calls f. A panic of bbolt, or a fault in the memory that it maps, becomes
// an error that wraps errDamaged.
func recoverPanic(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", errDamaged, p)
		}
	}()
	return f()
}

// fail handles an error of the open store: a damaged one is set aside, after any other
// error the diskWriter retries later.
func (w *diskWriter) fail(err error) {
	if errors.Is(err, errDamaged) {
		w.setAside(w.store, err)
		w.store = nil
		w.backlog.storeLost()
		return
	}
	w.retryLater(err)
}

// retryLater schedules the next attempt and logs the first failure in a row.
func (w *diskWriter) retryLater(err error) {
	w.retryDelay = min(max(2*w.retryDelay, minRetry), maxRetry)
	w.retryAt = time.Now().Add(w.retryDelay)
	if w.backlog.setDisk(false, err.Error()) {
		w.config.Logger.Warn("gmpulse: spool cannot write to disk; records are in memory only until it can",
			slog.String("directory", w.config.Dir), slog.Any("error", err))
	}
}

// succeed ends a series of failures.
func (w *diskWriter) succeed() {
	w.retryDelay, w.retryAt = 0, time.Time{}
	if w.backlog.setDisk(true, "") {
		w.config.Logger.Info("gmpulse: spool is on disk again", slog.String("directory", w.config.Dir))
	}
}

func (w *diskWriter) setAside(s *store, damage error) {
	to, err := s.setAside()
	if err != nil {
		w.config.Logger.Error("gmpulse: damaged spool cannot be set aside", slog.String("file", s.path), slog.Any("damage", damage), slog.Any("error", err))
		return
	}
	w.config.Logger.Error("gmpulse: damaged spool set aside", slog.String("file", to), slog.Any("error", damage))
}

// readBody reads one body. The error wraps errDamaged if the record is damaged or
// missing, and errNotRead if the disk cannot be read at present.
func (w *diskWriter) readBody(key uint64) ([]byte, error) {
	if w.store == nil {
		return nil, errNotRead
	}
	var values [][]byte
	err := recoverPanic(func() (err error) {
		values, err = w.store.read([]uint64{key})
		return err
	})
	switch {
	case err != nil:
		w.fail(err)
		return nil, errors.Join(errNotRead, err)
	case values[0] == nil:
		return nil, fmt.Errorf("%w: record %d", errDamaged, key)
	}
	return values[0][headerSize:], nil
}

// read is readBody for other goroutines.
func (w *diskWriter) read(ctx context.Context, key uint64) ([]byte, error) {
	if w == nil { // after abandon
		return nil, errNotRead
	}
	type result struct {
		body []byte
		err  error
	}
	done := make(chan result, 1)
	select {
	case w.reads <- func() { body, err := w.readBody(key); done <- result{body, err} }:
	case <-w.done:
		return nil, errNotRead
	case <-ctx.Done():
		return nil, errNotRead
	}
	select {
	case x := <-done:
		return x.body, x.err
	case <-ctx.Done():
		return nil, errNotRead
	}
}

// finish writes everything and closes the store. An empty store is removed. If the store
// turns out to be damaged, the records that are in memory too go to a new one.
func (w *diskWriter) finish() {
	for range 2 {
		if w.store == nil && !w.open() {
			return
		}
		if d := w.backlog.all(); d != nil {
			w.commit(d)
		}
		if w.store != nil {
			break
		}
	}
	switch {
	case w.store == nil: // the new one is damaged, too
	case w.backlog.empty() && w.store.kept == 0:
		w.store.remove()
	default:
		w.store.close()
	}
}
