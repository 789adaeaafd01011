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
	"github.com/gmpulse/gmpulse/internal/guard"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

const (
	minBackoff = 100 * time.Millisecond
	maxBackoff = 30 * time.Second
	// maxLastBackoff is the longest wait once Shutdown was called.
	maxLastBackoff = time.Second

	// suspectAfter is how often a record fails before others are tried in its
	// place; strikes how often one of them must pass right after it has failed.
	suspectAfter = 3
	strikes      = 3
	// maxReach is how many records in a row may be as bad as the first of them.
	maxReach = 64

	// diskWait bounds how long the stream waits for the disk.
	diskWait = 5 * time.Second
)

// profilerLabel is engine.ProfilerLabel, the pprof label of the agent's own goroutines.
const profilerLabel = "gmpulse"

// errNotRead means that a record is on a disk that cannot be read for now.
var errNotRead = errors.New("the record is on disk and cannot be read for now")

// sender hands what waits to the exporter: one snapshot at a time, in order, each
// until it is settled. Only its goroutine calls the exporter.
type sender struct {
	config  Config
	next    exporters.Exporter
	backlog *backlog
	keeper  *keeper       // nil without a directory
	letters *deadLetters  // nil without a directory
	wake    chan struct{} // capacity 1: something waits
	closing chan struct{} // closed by Shutdown
	done    chan struct{}
	telling sync.WaitGroup // of a call that does not return; run waits for it

	dec     runtimeinfo.Decoder
	backoff time.Duration // of the last wait; 0: all is well
	suspect *entry        // what failed last
	failed  int           // how often in a row
	passed  int           // how often another one passed right afterwards
	reach   int           // how far behind it the other one is
}

// run ends when ctx is done, or after closing when all is delivered.
func (s *sender) run(ctx context.Context) {
	defer close(s.done)
	defer s.telling.Wait()
	pprof.Do(ctx, pprof.Labels(profilerLabel, "spool"), func(ctx context.Context) {
		s.awaitDisk(ctx)
		for ctx.Err() == nil {
			e := s.backlog.take()
			switch {
			case e == nil && s.isClosing():
				return
			case e == nil:
				s.sleep(ctx, s.wake, time.Hour)
			case s.send(ctx, e) == nil:
				s.backoff, s.suspect = 0, nil
			default:
				s.doubt(ctx, e)
				s.pause(ctx)
			}
		}
	})
}

// awaitDisk waits for what an earlier process left: it goes first.
func (s *sender) awaitDisk(ctx context.Context) {
	if s.keeper != nil {
		s.sleep(ctx, s.keeper.ready, diskWait)
	}
}

// sleep waits for c, for ctx and for d at most.
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

// pause waits before the next attempt: twice as long as before, less up to a
// half, so that many processes do not come back at once. When little time is left
// the waits are short.
func (s *sender) pause(ctx context.Context) {
	most, closing := maxBackoff, s.closing
	if s.isClosing() {
		most, closing = maxLastBackoff, nil
	}
	s.backoff = min(max(2*s.backoff, minBackoff), most)
	s.sleep(ctx, closing, s.backoff/2+rand.N(s.backoff/2+1)) //nolint:gosec // jitter
}

// send makes one attempt. With no error the entry is settled, delivered or not;
// else it waits again.
func (s *sender) send(ctx context.Context, e *entry) error {
	snapshot, err := s.read(ctx, e)
	switch {
	case errors.Is(err, errNotRead):
		s.backlog.putBack(e)
		return err
	case err != nil:
		s.config.Logger.Error("gmpulse: spooled record cannot be read", slog.Any("error", err))
		s.discard(e, runtimeinfo.DropUnreadable)
		return nil
	}
	s.backlog.began()
	err = guard.Call(ctx, s.config.Timeout, func(ctx context.Context) error { return s.next.Export(ctx, snapshot) })
	was, settled := s.backlog.conclude(e, err)
	guard.LogChange(s.config.Logger, was, err)
	s.tidy()
	if settled {
		return nil
	}
	return err
}

// tell logs that a call of the exporter does not return, from elsewhere: the logger may
// be what hangs.
func (s *sender) tell(was runtimeinfo.ExporterState, err error) {
	s.telling.Go(func() { guard.LogChange(s.config.Logger, was, err) })
}

// read decodes an entry, from disk where it has to.
func (s *sender) read(ctx context.Context, e *entry) (*runtimeinfo.Snapshot, error) {
	body, schema := s.backlog.content(e)
	if body == nil && s.keeper != nil {
		ctx, cancel := context.WithTimeoutCause(ctx, diskWait, errNotRead)
		defer cancel()
		s.keeper.fetch(ctx, s.backlog.ahead(e))
		body, schema = s.backlog.content(e)
		if body == nil && (ctx.Err() != nil || !s.backlog.lost(e)) {
			return nil, errNotRead
		}
	}
	if body == nil {
		return nil, errDamaged
	}
	if _, err := s.dec.Learn(schema); err != nil {
		return nil, fmt.Errorf("its schema: %w", err)
	}
	return s.dec.Decode(body)
}

// discard drops an entry under way.
func (s *sender) discard(e *entry, why runtimeinfo.DropReason) {
	s.backlog.discard(e, why)
	s.tidy()
}

func (s *sender) tidy() {
	if s.keeper != nil {
		s.keeper.signal()
	}
}

// doubt asks, when the same entry has failed several times in a row, whether it
// is the entry or the backend: it sends another one, the next at first, and a later
// one each time that this fails too. Where that passes three times, each time right
// after the first has failed once more, the first goes to the dead letters.
func (s *sender) doubt(ctx context.Context, e *entry) {
	if e != s.suspect {
		s.suspect, s.failed, s.passed, s.reach = e, 0, 0, 1
	}
	s.failed++
	if s.failed < suspectAfter {
		return
	}
	if s.passed >= strikes {
		s.bury(ctx, e)
		return
	}
	canary := s.backlog.takeAfter(e, s.reach)
	if canary == nil {
		s.reach = 1
		return // nothing to compare it with
	}
	if s.send(ctx, canary) != nil {
		s.passed, s.reach = 0, s.reach%maxReach+1
		return
	}
	s.passed++
	s.backoff = 0
}

// bury moves an entry to the dead letters.
func (s *sender) bury(ctx context.Context, e *entry) {
	if !s.backlog.takeThis(e) {
		return // it gave way meanwhile
	}
	snapshot, err := s.read(ctx, e)
	if errors.Is(err, errNotRead) { // that is the disk's fault, and says nothing of the record
		s.backlog.putBack(e)
		s.passed = 0
		return
	}
	if err == nil {
		err = s.letters.write(snapshot, s.backlog.report().LastError)
	}
	s.config.Logger.Error("gmpulse: record refused again and again while others pass: moved to the dead letters",
		slog.String("file", s.letters.name()), slog.Time("taken", e.at), slog.Any("error", err))
	s.discard(e, runtimeinfo.DropDeadLetter)
	s.backoff, s.suspect = 0, nil
}
