// SPDX-License-Identifier: Apache-2.0

package spool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/pprof"
	"sync"
	"time"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/internal/agentlabel"
	"github.com/gmpulse/gmpulse/internal/codec"
	"github.com/gmpulse/gmpulse/internal/guard"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

const (
	minBackoff = 100 * time.Millisecond
	maxBackoff = 30 * time.Second
	// maxClosingBackoff replaces maxBackoff during Shutdown.
	maxClosingBackoff = time.Second

	// suspectAfter is how often in a row a record fails before another one is tried.
	suspectAfter = 3
	// confirmations is how often another record must pass right after the suspect has
	// failed before the suspect is a dead letter.
	confirmations = 3
	// maxReach is how many bad records may follow each other.
	maxReach = 64

	// unwrittenFor is how long a dead letter stays pending if it cannot be written, for
	// example because the disk is full. It is then dropped.
	unwrittenFor = time.Hour

	// diskTimeout limits how long the sender waits for the disk.
	diskTimeout = 5 * time.Second
)

// errNotRead means that a record on disk cannot be read at present.
var errNotRead = errors.New("the record is on disk, which cannot be read at present")

// sender passes pending snapshots to the exporter: one at a time, in order, each until
// it is delivered or refused. Its goroutine alone calls the exporter.
type sender struct {
	config      Config
	next        exporters.Exporter
	backlog     *backlog
	disk        *diskWriter     // nil without a directory
	deadLetters *deadLetterFile // nil without a directory
	wake        chan struct{}   // capacity 1: an entry is pending
	closing     chan struct{}   // closed by Shutdown
	done        chan struct{}   // closed when run returns
	logging     sync.WaitGroup  // of logFailure; run waits for it

	dec     codec.Decoder
	backoff time.Duration // the last one; 0 after a success
	suspect *entry        // the entry that failed last
	failed  int           // failures of the suspect in a row
	passed  int           // successes of another entry after each of them
	reach   int           // how many places behind the suspect the other entry is
	// unwritten is when the suspect could not be written to the dead letters for the first
	// time; zero if that has not failed.
	unwritten time.Time
}

// run returns once ctx is done, or after closing once everything is delivered.
func (s *sender) run(ctx context.Context) {
	defer close(s.done)
	defer s.logging.Wait()
	pprof.Do(ctx, pprof.Labels(agentlabel.Key, "spool"), func(ctx context.Context) {
		if s.disk != nil { // what an earlier process left is sent first
			s.sleep(ctx, s.disk.ready, diskTimeout)
		}
		for ctx.Err() == nil {
			e := s.backlog.next()
			switch {
			case e == nil && s.isClosing():
				return
			case e == nil:
				s.sleep(ctx, s.wake, time.Hour)
			case s.send(ctx, e) == nil:
				s.backoff, s.suspect = 0, nil
			default:
				s.probe(ctx, e)
				s.pause(ctx)
			}
		}
	})
}

// signal tells the sender that an entry is pending.
func (s *sender) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// sleep returns when c is ready, ctx is done, or d has passed.
func (s *sender) sleep(ctx context.Context, c <-chan struct{}, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-c:
	case <-t.C:
	case <-ctx.Done():
	}
}

func (s *sender) isClosing() bool {
	select {
	case <-s.closing:
		return true
	default:
		return false
	}
}

// pause waits before the next attempt. The wait doubles each time and is shortened by a
// random part of up to a half, so that processes do not retry in step.
func (s *sender) pause(ctx context.Context) {
	longest, closing := maxBackoff, s.closing
	if s.isClosing() {
		longest, closing = maxClosingBackoff, nil
	}
	s.backoff = min(max(2*s.backoff, minBackoff), longest)
	s.sleep(ctx, closing, s.backoff/2+rand.N(s.backoff/2+1)) //nolint:gosec // jitter
}

// send makes one attempt to deliver e. After an error e is pending again. Without one
// it is done: delivered, refused or dropped.
func (s *sender) send(ctx context.Context, e *entry) error {
	snapshot, err := s.decode(ctx, e)
	switch {
	case errors.Is(err, errNotRead):
		s.backlog.release()
		return err
	case err != nil:
		s.config.Logger.Error("gmpulse: spooled record cannot be read", slog.Any("error", err))
		s.discard(e, exporters.DropUnreadable)
		return nil
	}
	s.backlog.begin()
	err = guard.Call(ctx, s.config.Timeout, func(ctx context.Context) error { return s.next.Export(ctx, snapshot) })
	previous, settled := s.backlog.finish(e, err)
	guard.LogChange(s.config.Logger, previous, err)
	s.disk.signal()
	if settled {
		return nil
	}
	return err
}

// logFailure logs on another goroutine: it is called under a lock, and the logger may hang.
func (s *sender) logFailure(previous exporters.State, err error) {
	s.logging.Go(func() { guard.LogChange(s.config.Logger, previous, err) })
}

// decode returns the snapshot of e. It reads the body from disk if necessary.
func (s *sender) decode(ctx context.Context, e *entry) (*runtimeinfo.Snapshot, error) {
	body, schema, key := s.backlog.content(e)
	if body == nil {
		ctx, cancel := context.WithTimeout(ctx, diskTimeout)
		defer cancel()
		var err error
		if body, err = s.disk.read(ctx, key); err != nil {
			return nil, err
		}
	}
	if _, err := s.dec.Learn(schema); err != nil {
		return nil, fmt.Errorf("its schema: %w", err)
	}
	return s.dec.Decode(body)
}

// discard drops e, which is in flight.
func (s *sender) discard(e *entry, reason exporters.DropReason) {
	s.backlog.discard(e, reason)
	s.disk.signal()
}

// probe finds out whether e or the backend is at fault after e has failed several times in
// a row. It sends another entry: the next one, or a later one each time that this fails
// too. If other entries pass three times, each time right after e has failed again, then
// e is a dead letter.
func (s *sender) probe(ctx context.Context, e *entry) {
	if e != s.suspect {
		s.suspect, s.failed, s.passed, s.reach, s.unwritten = e, 0, 0, 1, time.Time{}
	}
	s.failed++
	if s.failed < suspectAfter {
		return
	}
	if s.passed >= confirmations {
		s.deadLetter(ctx, e)
		return
	}
	other := s.backlog.takeAfter(e, s.reach)
	if other == nil {
		s.reach = 1
		return
	}
	if s.send(ctx, other) != nil {
		s.passed, s.reach = 0, s.reach%maxReach+1
		return
	}
	s.passed++
	s.backoff = 0
}

// deadLetter moves e to the file of dead letters. If the disk is at fault, e stays pending
// and is moved after more confirmations.
func (s *sender) deadLetter(ctx context.Context, e *entry) {
	if s.backlog.takeAfter(e, 0) == nil {
		return // dropped meanwhile
	}
	snapshot, err := s.decode(ctx, e)
	if errors.Is(err, errNotRead) {
		s.backlog.release()
		s.passed = 0
		return
	}
	if err == nil {
		err = s.deadLetters.write(snapshot, s.backlog.report().LastError)
		if err != nil && s.postpone(e, err) {
			return
		}
	}
	s.config.Logger.Error("gmpulse: the backend fails on a record and accepts others: the record is moved to the dead letters",
		slog.String("file", s.deadLetters.name()), slog.Time("accepted", e.accepted), slog.Any("error", err))
	s.discard(e, exporters.DropDeadLetter)
	s.backoff, s.suspect = 0, nil
}

// postpone keeps a dead letter pending that could not be written, unless it is too late. It
// logs the first error.
func (s *sender) postpone(e *entry, err error) bool {
	switch {
	case errors.Is(err, errForeign):
		return false // a person has to do something
	case s.unwritten.IsZero():
		s.unwritten = time.Now()
		s.config.Logger.Warn("gmpulse: the backend fails on a record and accepts others, and the record cannot be moved to the dead letters: it stays in the spool",
			slog.String("file", s.deadLetters.name()), slog.Time("accepted", e.accepted), slog.Any("error", err))
	case time.Since(s.unwritten) > unwrittenFor:
		return false
	}
	s.backlog.release()
	s.passed = 0
	return true
}
