// SPDX-License-Identifier: Apache-2.0

package evidence

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"runtime"
	"runtime/pprof"
	"time"

	"github.com/google/pprof/profile"

	"github.com/gmpulse/gmpulse/internal/profiles"
)

// maxProfiled is the maximum number of goroutines for a goroutine profile, which takes 3.5 µs of
// CPU time and 0.8 KB of memory per goroutine.
const maxProfiled = 500_000

func goroutineProfile(_ context.Context, w io.Writer) error {
	if n := runtime.NumGoroutine(); n > maxProfiled {
		return fmt.Errorf("there are %d goroutines, and the limit is %d", n, maxProfiled)
	}
	return profiles.Write(w, "goroutine", false)
}

// cpuProfile writes a CPU profile. It returns an error if one of other code is in progress.
func (s *Store) cpuProfile(ctx context.Context, w io.Writer) error {
	defer s.config.Profiler.Suspend(ctx)()
	if err := pprof.StartCPUProfile(w); err != nil {
		return fmt.Errorf("busy: %w", err)
	}
	defer pprof.StopCPUProfile()
	return s.wait(ctx, s.config.ProfileFor)
}

// mutexProfile writes a profile of lock contention during Config.ProfileFor. If the application
// has not enabled mutex profiling, mutexProfile enables it for this time.
func (s *Store) mutexProfile(ctx context.Context, w io.Writer) error {
	if runtime.SetMutexProfileFraction(-1) == 0 {
		runtime.SetMutexProfileFraction(mutexFraction)
		defer mutexProfileOff()
	}
	before, err := parsed("mutex")
	if err != nil {
		return err
	}
	start := time.Now()
	if err := s.wait(ctx, s.config.ProfileFor); err != nil {
		return err
	}
	after, err := parsed("mutex")
	if err != nil {
		return err
	}
	before.Scale(-1)
	delta, err := profile.Merge([]*profile.Profile{after, before})
	if err != nil {
		return err
	}
	delta.DurationNanos = time.Since(start).Nanoseconds()
	return delta.Write(w)
}

// mutexFraction is the mutex profile fraction during a capture. It is an unusual number, so that
// mutexProfileOff can detect whether the application has set another one.
const mutexFraction = 13

// mutexProfileOff disables mutex profiling, unless the application has set the fraction since the
// capture began.
func mutexProfileOff() {
	if runtime.SetMutexProfileFraction(-1) != mutexFraction {
		return
	}
	if now := runtime.SetMutexProfileFraction(0); now != mutexFraction { // the application has just set it
		runtime.SetMutexProfileFraction(now)
	}
}

// parsed takes a profile of the runtime and parses it.
func parsed(name string) (*profile.Profile, error) {
	var b bytes.Buffer
	if err := profiles.Write(&b, name, false); err != nil {
		return nil, err
	}
	return profiles.Decode(b.Bytes())
}

// wait waits for d. It returns early at Shutdown, because a shorter profile is better than none.
func (s *Store) wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-s.closing:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
