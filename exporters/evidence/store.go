// SPDX-License-Identifier: Apache-2.0

// Package evidence stores a bundle for each incident. A bundle is a directory with profiles for
// go tool pprof, an execution trace for go tool trace, the samples of the last 15 minutes, the
// active spans, and a manifest that describes them.
//
//	s, err := evidence.New(evidence.Config{Dir: "/var/lib/checkout/evidence"})
//	e, err := engine.New(engine.WithExporter("evidence", s, engine.EveryTick()), engine.WithAnalyzer("evidence", s), ...)
//
// A [Store] is an exporter. It creates a bundle if a snapshot has a verdict on goroutines or an
// anomaly of severity warning or above. [Store.Capture] creates one on request. A Store is also
// an analyzer that publishes how many bundles it has created. It is an [fs.FS] of its bundles.
//
// # Cost
//
// Without an incident, a Store keeps 5 to 10 MB of snapshots, one per second. Creating a bundle
// takes five seconds on a separate goroutine and about 0.2 s of CPU time. A bundle has 100 to
// 300 KB.
package evidence

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime/pprof"
	"slices"
	"sync"
	"time"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/internal/agentlabel"
	"github.com/gmpulse/gmpulse/internal/guard"
	"github.com/gmpulse/gmpulse/internal/headroom"
	"github.com/gmpulse/gmpulse/internal/manifest"
	"github.com/gmpulse/gmpulse/runtimeinfo"
	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines"
	"github.com/gmpulse/gmpulse/runtimeinfo/profiler"
)

// Config configures a [Store]. The zero Config keeps the last two bundles in memory.
type Config struct {
	// Dir is the directory of the bundles. The Store creates it if necessary. Several
	// processes may share it. If Dir is empty or not writable, the last two bundles are
	// kept in memory, with at most 8 MiB each.
	Dir string
	// MaxBundle is the maximum size of a bundle in bytes. The manifest lists the files that
	// did not fit. Zero means 32 MiB.
	MaxBundle int64
	// MaxBytes is the maximum size of all bundles in bytes. The Store removes the oldest
	// ones, and the first bundle of each incident only after all others. Zero means 256 MiB.
	MaxBytes int64
	// MinFree is the minimum free space of the file system in bytes. If a bundle could leave
	// less, or less than 5 % of the file system, it is not created. Zero means 1 GiB.
	MinFree int64
	// Cooldown is the minimum time between two bundles with the same cause. It does not apply
	// if the size of the incident has doubled. Zero means ten minutes.
	Cooldown time.Duration
	// PerHour is the maximum number of bundles per hour. Bundles on request do not count.
	// Zero means 4.
	PerHour int
	// ProfileFor is the duration of the CPU and mutex profiles, at most 15 seconds. Zero
	// means five seconds.
	ProfileFor time.Duration

	// Trace writes an execution trace of the last seconds, such as
	// exectrace.Recorder.WriteTrace. An error means that there is none. If Trace is nil,
	// bundles have none.
	Trace func(ctx context.Context, w io.Writer) error
	// Goroutines returns the last goroutine survey and the verdicts. If it is nil, bundles
	// have none.
	Goroutines func() goroutines.Report
	// Profiler has the profiles of the last healthy time, which bundles keep as base profiles of the
	// profiles of the incident. CPU profiles of bundles suspend it. If it is nil, bundles have no base
	// profiles.
	Profiler *profiler.Profiler
	// Logger receives one line for each bundle and for each change of state. Nil means
	// [slog.Default].
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
			errs = append(errs, fmt.Errorf("evidence: Config.%s is negative: want a positive value, or 0 for the default", f.name))
		}
	}
	if c.ProfileFor > maxProfileFor {
		errs = append(errs, fmt.Errorf("evidence: Config.ProfileFor is %v: want at most %v, or 0 for 5s", c.ProfileFor, maxProfileFor))
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
	return c, errors.Join(errs...)
}

const (
	// captureTimeout limits the time for creating a bundle.
	captureTimeout = 20 * time.Second
	maxProfileFor  = 15 * time.Second
)

// ErrBusy is the error of [Store.Capture] while another capture is in progress.
var ErrBusy = errors.New("evidence: another capture is in progress")

// Store creates and stores bundles. [New] makes one. Its methods are safe for concurrent use.
// A Store is an [fs.FS] with a directory for each bundle.
type Store struct {
	config  Config
	bundles bundleStore
	fits    func(bytes int64) error // headroom.Check

	closing  chan struct{} // closed by Shutdown; ends profiles early
	captures sync.WaitGroup

	mu      sync.Mutex
	history history
	budget  budget
	busy    bool
	shut    bool
	leaks   time.Time // time of the last leak profile
	stats   stats
	skipped []manifest.SkippedCapture // since the last bundle
}

// New returns a Store. It opens no file. Its error joins all invalid fields of config.
func New(config Config) (*Store, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Store{
		config:  config,
		bundles: newBundleStore(config),
		fits:    headroom.Check,
		closing: make(chan struct{}),
		budget:  newBudget(config),
	}, nil
}

// Export stores the snapshot for later bundles. If the snapshot has a serious event, Export
// starts the creation of a bundle and does not wait for it. After Shutdown it returns
// [exporters.ErrShutdown].
func (s *Store) Export(_ context.Context, snapshot *runtimeinfo.Snapshot) error {
	s.mu.Lock()
	if s.shut {
		s.mu.Unlock()
		return exporters.ErrShutdown
	}
	s.history.add(snapshot)
	s.mu.Unlock()
	if t, ok := triggerFor(snapshot.Events); ok {
		s.Trigger(t) //nolint:contextcheck // it outlives the call
	}
	return nil
}

// Trigger starts the creation of a bundle and does not wait for it. It only logs and counts the
// trigger if the cooldown of the cause or the limit per hour applies, if another capture is in
// progress, or if memory is short.
func (s *Store) Trigger(t Trigger) {
	err := s.start(&t, s.budget.reserve, func(string, error) {}) // capture logs the result
	if err == nil {
		return
	}
	s.config.Logger.Info("gmpulse: no bundle of evidence was created", slog.String("cause", t.Cause), slog.Any("why", err))
	s.mu.Lock()
	defer s.mu.Unlock()
	if !errors.Is(err, headroom.ErrShort) {
		s.stats.skipped++
	}
	s.skip(manifest.SkippedCapture{Time: time.Now(), Cause: t.Cause, Why: err.Error()})
}

// start starts the creation of a bundle, which calls done, or returns why it does not. limit is
// called with mu held, and returns an error if there must not be a bundle.
func (s *Store) start(t *Trigger, limit func(time.Time, *Trigger) error, done func(id string, err error)) error {
	short := s.fits(bundleNeeds) // before locking mu, because it reads files
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.shut:
		return exporters.ErrShutdown
	case s.busy:
		return ErrBusy
	case short != nil:
		s.stats.refused++
		return fmt.Errorf("evidence: no capture: %w", short)
	}
	if err := limit(time.Now(), t); err != nil {
		return err
	}
	s.busy = true
	s.captures.Go(func() { done(s.capture(t)) })
	return nil
}

// skip stores a capture that was skipped, for the manifest of the next bundle. mu is held.
func (s *Store) skip(c manifest.SkippedCapture) {
	const maxSkipped = 20
	if len(s.skipped) == maxSkipped {
		s.skipped = slices.Delete(s.skipped, 0, 1)
	}
	s.skipped = append(s.skipped, c)
}

// Capture creates a bundle with a CPU profile, waits for it and returns the name of its
// directory. Neither the cooldown nor the limit per hour applies. Capture takes slightly longer
// than Config.ProfileFor.
//
// Capture returns [ErrBusy] if another capture is in progress, [exporters.ErrShutdown] after
// Shutdown, and an error if memory or disk space is short or the bundle cannot be written. If ctx
// is done, Capture returns its error, and the bundle is created nevertheless.
func (s *Store) Capture(ctx context.Context, reason string) (id string, err error) {
	type result struct {
		id  string
		err error
	}
	done := make(chan result, 1) // capacity 1, because Capture may have returned
	unlimited := func(time.Time, *Trigger) error { return nil }
	err = s.start(&Trigger{Cause: "request", Reason: reason, CPU: true}, unlimited, func(id string, err error) { //nolint:contextcheck // it outlives the call
		done <- result{id, err}
	})
	if err != nil {
		return "", err
	}
	select {
	case r := <-done:
		return r.id, r.err
	case <-ctx.Done():
		return "", fmt.Errorf("evidence: capture: %w", context.Cause(ctx))
	}
}

// capture creates a bundle and clears s.busy, which the caller has set.
func (s *Store) capture(t *Trigger) (id string, err error) {
	pprof.Do(context.Background(), pprof.Labels(agentlabel.Key, "evidence"), func(ctx context.Context) {
		ctx, cancel := context.WithTimeoutCause(ctx, captureTimeout, errors.New("evidence: the capture took longer than 20 s"))
		defer cancel()
		err = guard.Do(func() (err error) { // Goroutines may panic
			id, err = s.collect(ctx, t)
			return err
		})
	})
	if err != nil {
		s.config.Logger.Warn("gmpulse: a bundle of evidence could not be created", slog.String("cause", t.Cause), slog.Any("error", err))
	} else {
		s.config.Logger.Info("gmpulse: a bundle of evidence was created", slog.String("cause", t.Cause), slog.String("bundle", s.bundles.location(id)))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy = false
	if err != nil {
		s.stats.failed++
		return "", err
	}
	s.stats.made++
	return id, nil
}

// Shutdown ends the profiles of the capture in progress and waits until its bundle is stored or
// ctx is done. This takes less than a second. The bundles remain readable.
func (s *Store) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	if !s.shut {
		s.shut = true
		close(s.closing)
	}
	s.mu.Unlock()
	done := make(chan struct{})
	go func() {
		s.captures.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("evidence: a capture is still in progress: %w", context.Cause(ctx))
	}
}
