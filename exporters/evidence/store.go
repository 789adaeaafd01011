// SPDX-License-Identifier: Apache-2.0

// Package evidence stores a bundle for each incident: a directory with profiles, an
// execution trace, the samples of the last minutes and the active spans. go tool pprof
// and go tool trace open them.
//
//	s, err := evidence.New(evidence.Config{Dir: "/var/lib/checkout/evidence"})
//	e, err := engine.New(engine.WithExporter("evidence", s), engine.WithAnalyzer("evidence", s), ...)
//
// A [Store] is an exporter. It makes a bundle when a snapshot has a serious event: a verdict
// on goroutines or an anomaly, of severity warning or above. [Store.Capture] makes one on
// request. As an analyzer a Store adds the numbers of its bundles to snapshots.
//
// # Cost
//
// Without an incident: the snapshots of the last 15 minutes, one a second (5 to 10 MB), and
// a goroutine profile every five minutes for comparison, which uses at most 0.05 % of a
// core. A bundle takes five seconds on a goroutine of its own, about 0.2 s of CPU time, and
// 100 to 300 KB on disk.
package evidence

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"runtime/pprof"
	"sync"
	"time"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/internal/guard"
	"github.com/gmpulse/gmpulse/internal/headroom"
	"github.com/gmpulse/gmpulse/runtimeinfo"
	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines"
)

// TraceSource makes execution traces; exectrace.Recorder is one.
type TraceSource interface {
	// WriteTrace writes an execution trace that includes the present. It returns an error
	// if there is none, for example because another user holds the recorder.
	WriteTrace(ctx context.Context, w io.Writer) error
}

// Config configures a [Store]. The zero value keeps the last two bundles in memory.
type Config struct {
	// Dir is the directory of the bundles. It is created if necessary; several processes
	// may share it. If it is empty, or cannot be written to, the last two bundles are kept
	// in memory, with at most 8 MiB each.
	Dir string
	// MaxBundle is the maximum size of a bundle in bytes. Files that do not fit are skipped
	// and named in the manifest. Zero means 32 MiB.
	MaxBundle int64
	// MaxBytes is the maximum size of all bundles in bytes. The oldest are removed, the
	// first bundles of incidents last. Zero means 256 MiB.
	MaxBytes int64
	// MinFree is the minimum free space of the file system in bytes. Below it, or below 5 %
	// of the file system, nothing is written. Zero means 1 GiB.
	MinFree int64
	// Cooldown is the minimum time between two bundles of one cause, unless its size has
	// doubled. Zero means ten minutes.
	Cooldown time.Duration
	// PerHour is the maximum number of bundles in an hour, without those on request. Zero
	// means 4.
	PerHour int
	// ProfileFor is how long the CPU and the contention of locks are profiled, at
	// most 15 seconds. Zero means five.
	ProfileFor time.Duration

	// Trace makes execution traces. Nil: bundles have none.
	Trace TraceSource
	// Goroutines returns the last survey and the verdicts. Nil: nothing is known.
	Goroutines func() goroutines.Report
	// Record turns a snapshot into the fields of one line; exporters.Record does.
	// Nil: numbers only.
	Record func(*runtimeinfo.Snapshot) iter.Seq2[string, any]
	// Logger gets one line for each bundle, and for each change of state. Default
	// slog.Default().
	Logger *slog.Logger
}

func (c Config) withDefaults() (Config, error) {
	var errs []error
	for _, f := range []struct {
		name  string
		value int64
	}{
		{"MaxBundle", c.MaxBundle},
		{"MaxBytes", c.MaxBytes},
		{"MinFree", c.MinFree},
		{"Cooldown", int64(c.Cooldown)},
		{"PerHour", int64(c.PerHour)},
		{"ProfileFor", int64(c.ProfileFor)},
	} {
		if f.value < 0 {
			errs = append(errs, fmt.Errorf("evidence: Config.%s is below zero: set it above, or to 0 for the default", f.name))
		}
	}
	if c.Trace != nil && guard.IsNil(c.Trace) {
		errs = append(errs, fmt.Errorf("evidence: Config.Trace is a nil %T: leave it out for none", c.Trace))
	}
	if c.ProfileFor > maxProfileFor {
		errs = append(errs, fmt.Errorf("evidence: Config.ProfileFor is %v: set it to at most %v, or to 0 for 5s", c.ProfileFor, maxProfileFor))
	}
	c.MaxBundle = cmp.Or(c.MaxBundle, 32<<20)
	c.MaxBytes = cmp.Or(c.MaxBytes, 256<<20)
	c.MinFree = cmp.Or(c.MinFree, 1<<30)
	c.Cooldown = cmp.Or(c.Cooldown, 10*time.Minute)
	c.PerHour = cmp.Or(c.PerHour, 4)
	c.ProfileFor = cmp.Or(c.ProfileFor, 5*time.Second)
	c.Logger = guard.Logger(cmp.Or(c.Logger, slog.Default()))
	if c.Goroutines == nil {
		c.Goroutines = func() goroutines.Report { return goroutines.Report{} }
	}
	if c.Record == nil {
		c.Record = numbers
	}
	return c, errors.Join(errs...)
}

const (
	// captureTimeout bounds the making of a bundle.
	captureTimeout = 20 * time.Second
	maxProfileFor  = 15 * time.Second
)

// ErrBusy is the error of a capture while another is being made.
var ErrBusy = errors.New("evidence: another capture is being made")

// Store keeps bundles. Make one with [New]. All methods may be called from any
// goroutine. It is an [fs.FS] of the bundles, with a directory for each.
type Store struct {
	config  Config
	bundles bundleStore
	fits    func(bytes int64) error // headroom.Check

	hurry chan struct{} // closed by Shutdown
	work  sync.WaitGroup

	mu      sync.Mutex
	history history
	budget  budget
	healthy healthy
	busy    bool
	shut    bool
	leaks   time.Time // when the last leak profile was taken
	stats   Stats
	skipped []SkippedCapture // since the last bundle
}

// New returns a Store. It touches no file. The error names every field of config
// that makes no sense.
func New(config Config) (*Store, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Store{
		config:  config,
		bundles: newBundleStore(config),
		fits:    headroom.Check,
		hurry:   make(chan struct{}),
		budget:  newBudget(config),
		healthy: newHealthy(),
	}, nil
}

// Stats returns how many bundles were made and how many were not, because they could
// not be, or because of the cooldown, the limit for an hour, or one that was being made,
// or because the memory was short.
// The engine publishes it.
func (s *Store) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}

// Export remembers the snapshot and makes a bundle of what its events tell, if
// that is worth one. It does not wait for it.
func (s *Store) Export(_ context.Context, snapshot *runtimeinfo.Snapshot) error {
	s.mu.Lock()
	if s.shut {
		s.mu.Unlock()
		return exporters.ErrShutdown
	}
	s.history.add(snapshot)
	s.mu.Unlock()
	if t, ok := worth(snapshot.Events); ok {
		s.Trigger(t) //nolint:contextcheck // it outlives the call
	} else {
		s.compare(snapshot.Time) //nolint:contextcheck // it outlives the call
	}
	return nil
}

// Trigger makes a bundle, unless there was one for the same cause a short while ago,
// there were too many within the hour, another is being made, or the memory is short;
// it does not wait for it.
func (s *Store) Trigger(t Trigger) {
	if why := s.begin(&t); why != "" { // logged without the lock: a logger may be slow, and the tick wants the account
		s.config.Logger.Info("gmpulse: no evidence was taken", slog.String("cause", t.Cause), slog.String("why", why))
	}
}

// begin begins the making of a bundle, or says why there will be none.
func (s *Store) begin(t *Trigger) (why string) {
	short := s.fits(bundleNeeds) // it reads files: not under the lock
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if why = s.refuses(now, t, short); why != "" {
		if short == nil || s.shut || s.busy {
			s.stats.Skipped++
		}
		s.skip(SkippedCapture{Time: now, Cause: t.Cause, Why: why})
		return why
	}
	s.busy = true
	s.work.Go(func() { _, _ = s.take(t) }) // logged there
	return ""
}

// refuses says why there will be no bundle, or reserves the place for one.
func (s *Store) refuses(now time.Time, t *Trigger, short error) (why string) {
	switch {
	case s.shut:
		return "the store is shut down"
	case s.busy:
		return "another capture was being made"
	case short != nil:
		s.stats.Refused++
		return short.Error()
	default:
		t.first = s.budget.isFirst(now, t.Cause)
		return s.budget.take(now, t)
	}
}

// skip remembers what was not captured, for the next manifest.
func (s *Store) skip(c SkippedCapture) {
	const most = 20
	if len(s.skipped) == most {
		s.skipped = append(s.skipped[:0], s.skipped[1:]...)
	}
	s.skipped = append(s.skipped, c)
}

// Capture makes a bundle on request, without a cooldown, waits for it and returns the name
// of its directory. It returns [ErrBusy], [exporters.ErrShutdown], or an error if memory is
// short or the bundle cannot be written. The bundle is made even when ctx is done.
func (s *Store) Capture(ctx context.Context, reason string) (id string, err error) {
	type result struct {
		id  string
		err error
	}
	t := Trigger{Cause: "request", Reason: reason, CPU: true}
	short := s.fits(bundleNeeds)
	s.mu.Lock()
	if err := s.unable(short); err != nil {
		s.mu.Unlock()
		return "", err
	}
	s.busy = true
	done := make(chan result, 1) // capacity 1: the caller may have returned
	s.work.Go(func() {           //nolint:contextcheck // it outlives the call
		id, err := s.take(&t)
		done <- result{id, err}
	})
	s.mu.Unlock()
	select {
	case r := <-done:
		return r.id, r.err
	case <-ctx.Done():
		return "", fmt.Errorf("evidence: capture: %w", context.Cause(ctx))
	}
}

// unable returns why no capture can begin now, nil if one can. mu is held.
func (s *Store) unable(short error) error {
	switch {
	case s.shut:
		return exporters.ErrShutdown
	case s.busy:
		return ErrBusy
	case short != nil:
		s.stats.Refused++
		return fmt.Errorf("evidence: no capture: %w", short)
	default:
		return nil
	}
}

// take makes a bundle. The place is taken, and is given back.
func (s *Store) take(t *Trigger) (id string, err error) {
	pprof.Do(context.Background(), pprof.Labels("gmpulse", "evidence"), func(ctx context.Context) {
		ctx, cancel := context.WithTimeoutCause(ctx, captureTimeout, errors.New("evidence: the capture took too long"))
		defer cancel()
		err = guard.Do(func() (err error) { // Goroutines and Trace are foreign code
			id, err = s.make(ctx, t)
			return err
		})
	})
	if err != nil {
		s.config.Logger.Warn("gmpulse: evidence could not be kept", slog.String("cause", t.Cause), slog.Any("error", err))
	} else {
		s.config.Logger.Info("gmpulse: evidence taken", slog.String("cause", t.Cause), slog.String("bundle", s.bundles.place(id)))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy = false
	if err != nil {
		s.stats.Failed++
		return "", err
	}
	s.stats.Made++
	return id, nil
}

// Shutdown ends the making of bundles: it waits for the one in progress, whose profiles
// are cut short, which takes less than a second. The bundles stay.
func (s *Store) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	if !s.shut {
		s.shut = true
		close(s.hurry)
	}
	s.mu.Unlock()
	done := make(chan struct{})
	go func() {
		s.work.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("evidence: a capture is still being made: %w", context.Cause(ctx))
	}
}
