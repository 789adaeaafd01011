// SPDX-License-Identifier: Apache-2.0

package goroutines

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/pprof"
	"sync"
	"time"

	"github.com/gmpulse/gmpulse/internal/profiles"
)

// ErrTooCostly is the error of [WriteLeakProfile] if the garbage collector might stop the world for
// too long.
var ErrTooCostly = errors.New("goroutines: a leak profile would cost too much")

var (
	errNoLeakProfile = errors.New("goroutines: this runtime has no goroutineleak profile")
	// errTooSoon means that the last leak profile was taken recently.
	errTooSoon = errors.New("goroutines: too soon for another leak profile")
)

const (
	leakProfile = "goroutineleak"
	// maxSurveyAge is the age up to which a survey shows the waiters of locks.
	maxSurveyAge = time.Minute
	// The garbage collector walks the waiters of a lock once for each of them, with the world
	// stopped: 1.4–3.6 ns × n², which is 4 ms for 1,000 and 4–8 s for 50,000. A profile shows
	// where a lock is taken, but not which lock it is. Hence one bound for each place, and one
	// for all places of a wait class, which is 60 ms if they share a lock.
	maxWaiters    = 1_000
	maxAllWaiters = 4 * maxWaiters
	// maxLeakProfiled bounds the pause that grows with the number of goroutines: 0.5 ms for
	// 10,000, 10 ms for 100,000 (benchmarks/cost, Go 1.27).
	maxLeakProfiled = 10_000
	// leakProfileCooldown is the minimum time between two leak profiles of a Detector.
	leakProfileCooldown = time.Minute
)

// hasLeakProfile reports whether the runtime has the goroutineleak profile: Go 1.27 or later,
// or Go 1.26 built with GOEXPERIMENT=goroutineleakprofile.
func hasLeakProfile() bool { return pprof.Lookup(leakProfile) != nil }

// WriteLeakProfile writes the goroutineleak profile in the format of go tool pprof, which
// [ParseSurvey] reads. It has the goroutines that wait for something that no running goroutine can
// reach, according to the garbage collector: about half of all leaks, and none that wait for a
// connection, a timer or a global variable. One profile may contain goroutines that are not leaked
// (golang/go#79452): rely on what two of them contain. The profile needs Go 1.27, or Go 1.26 built
// with GOEXPERIMENT=goroutineleakprofile.
//
// WriteLeakProfile forces a garbage collection, which stops the world for a time that depends on
// what the goroutines wait for. last is a survey of at most a minute ago, from which it estimates
// that time. The error wraps [ErrTooCostly] if there are more than 10,000 goroutines, or if more
// than 1,000 wait for a Mutex, RWMutex or WaitGroup at one place or 4,000 at all places. Other
// errors mean that the runtime has no such profile, that its profiler panicked or that ctx is done,
// which cannot interrupt the collection.
func WriteLeakProfile(ctx context.Context, w io.Writer, last *Survey) error {
	if !hasLeakProfile() {
		return errNoLeakProfile
	}
	if err := pauseOf(last); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return profiles.Write(w, leakProfile, false)
}

// pauseOf returns an error that wraps ErrTooCostly if the last survey shows that a leak profile
// might stop the world for long, or is too old to show it.
func pauseOf(last *Survey) error {
	if last == nil || time.Since(last.Time) > maxSurveyAge {
		return fmt.Errorf("%w: no recent survey", ErrTooCostly)
	}
	if n := max(last.Goroutines, runtime.NumGoroutine()); n > maxLeakProfiled {
		return fmt.Errorf("%w: %d goroutines, the limit is %d", ErrTooCostly, n, maxLeakProfiled)
	}
	var all [numWaitClasses]int
	for i := range last.Groups {
		g := &last.Groups[i]
		if f := g.Class.family(); f != familyLock && f != familyWaitGroup {
			continue // the collector does not walk a list of waiters
		}
		all[g.Class] += g.Count
		if g.Count > maxWaiters || all[g.Class] > maxAllWaiters {
			return fmt.Errorf("%w: %d goroutines in %s, %d of them at %s",
				ErrTooCostly, all[g.Class], g.Class, g.Count, g.Site)
		}
	}
	return nil
}

// leakProfiler takes leak profiles for a Detector and keeps the results of the last two. It is
// safe for concurrent use.
type leakProfiler struct {
	cooldown time.Duration

	mu           sync.Mutex // also held while a profile is taken
	next         time.Time
	broken       error
	before, last map[Key]int // goroutines in the last two profiles
}

// take takes a leak profile, unless the last one is too recent. After [profiles.ErrProfiler] it
// always fails.
func (p *leakProfiler) take(ctx context.Context, last *Survey) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.broken != nil {
		return p.broken
	}
	if time.Now().Before(p.next) {
		return errTooSoon
	}
	var b bytes.Buffer
	err := WriteLeakProfile(ctx, &b, last)
	if errors.Is(err, ErrTooCostly) || errors.Is(err, errNoLeakProfile) {
		return err // nothing was spent
	}
	p.next = time.Now().Add(p.cooldown)
	if errors.Is(err, profiles.ErrProfiler) {
		p.broken = err
	}
	if err != nil {
		return err
	}
	s, err := ParseSurvey(b.Bytes(), SurveyConfig{})
	if err != nil {
		return err
	}
	p.before, p.last = p.last, make(map[Key]int, len(s.Groups))
	for i := range s.Groups {
		p.last[s.Groups[i].Key] = s.Groups[i].Count
	}
	return nil
}

// leaked returns how many goroutines with the given key both of the last two profiles contain.
func (p *leakProfiler) leaked(k Key) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return min(p.before[k], p.last[k])
}
