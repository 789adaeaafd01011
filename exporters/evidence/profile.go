// SPDX-License-Identifier: Apache-2.0

package evidence

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/pprof"
	"time"

	"github.com/google/pprof/profile"

	"github.com/gmpulse/gmpulse/internal/profiles"
)

// profileTo writes one of the runtime's profiles, in the form that go tool pprof
// opens. Never debug=2: it stops the world for 8 µs for each goroutine.
func profileTo(name string, w io.Writer) (err error) {
	// Corrupt labels make the profiler panic (timandy/routine#4): that must not
	// take the application along.
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the profiler panicked: %v", r)
		}
	}()
	p := pprof.Lookup(name)
	if p == nil {
		return errors.New("this runtime has none")
	}
	return p.WriteTo(w, 0)
}

// maxProfiled is the maximum number of goroutines for a goroutine profile: it takes 3.5 µs
// of CPU time and 0.8 KB of memory for each.
const maxProfiled = 500_000

func goroutineProfile(_ context.Context, w io.Writer) error {
	if n := runtime.NumGoroutine(); n > maxProfiled {
		return fmt.Errorf("%d goroutines, the cap is %d", n, maxProfiled)
	}
	return profileTo("goroutine", w)
}

// cpuProfile profiles the CPU for a while, unless a profile is being made already.
func (s *Store) cpuProfile(ctx context.Context, w io.Writer) error {
	if err := pprof.StartCPUProfile(w); err != nil {
		return fmt.Errorf("busy: %w", err)
	}
	defer pprof.StopCPUProfile()
	return s.wait(ctx, s.config.ProfileFor)
}

// mutexProfile writes the contention of locks within a while. Where the program
// has not switched that profile on, it is on for that while.
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

// mutexFraction is the rate of a capture, one of so many events. It is a number that
// no application chooses: one that sets its own rate meanwhile is told by it.
const mutexFraction = 13

// mutexProfileOff switches the profile off, unless the application has set a rate of
// its own since the capture began.
func mutexProfileOff() {
	if runtime.SetMutexProfileFraction(-1) != mutexFraction {
		return
	}
	if now := runtime.SetMutexProfileFraction(0); now != mutexFraction { // set just now
		runtime.SetMutexProfileFraction(now)
	}
}

func parsed(name string) (*profile.Profile, error) {
	var b bytes.Buffer
	if err := profileTo(name, &b); err != nil {
		return nil, err
	}
	return profiles.Decode(b.Bytes())
}

// wait waits, but not longer than until Shutdown: a shorter profile is better than
// none.
func (s *Store) wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-s.hurry:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
