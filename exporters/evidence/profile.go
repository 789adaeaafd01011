// SPDX-License-Identifier: Apache-2.0

package evidence

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"runtime"
	"runtime/pprof"

	"github.com/gmpulse/gmpulse/internal/profiles"
)

// maxProfiled is the maximum number of goroutines for a goroutine profile, which takes 3.5 µs of
// CPU time and 0.3 to 7 KB of memory per goroutine.
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
	return s.wait(ctx)
}

// mutexProfile writes a profile of lock contention during Config.ProfileFor. If the application
// has not enabled mutex profiling, mutexProfile enables it for this time.
func (s *Store) mutexProfile(ctx context.Context, w io.Writer) error {
	if runtime.SetMutexProfileFraction(-1) == 0 {
		runtime.SetMutexProfileFraction(mutexFraction)
		defer mutexProfileOff()
	}
	delta, err := profiles.Delta(func() ([]byte, error) {
		var b bytes.Buffer
		err := profiles.Write(&b, "mutex", false)
		return b.Bytes(), err
	}, func() error { return s.wait(ctx) })
	if err != nil {
		return err
	}
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

// wait waits for Config.ProfileFor or until Shutdown.
func (s *Store) wait(ctx context.Context) error {
	return profiles.Wait(ctx, s.closing, s.config.ProfileFor)
}
