// SPDX-License-Identifier: Apache-2.0

package goroutines

import (
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

// Errors of leak profiles.
var (
	// ErrNoLeakProfile means that the runtime has no goroutineleak profile, see
	// [HasLeakProfile].
	ErrNoLeakProfile = errors.New("goroutines: this runtime has no goroutineleak profile")
	// ErrTooCostly means that the garbage collector might stop the world for too long.
	ErrTooCostly = errors.New("goroutines: a leak profile would cost too much")
)

// errTooSoon means that the last leak profile was taken recently.
var errTooSoon = errors.New("goroutines: too soon for another leak profile")

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

// HasLeakProfile reports whether the runtime has the goroutineleak profile: Go 1.27 or later,
// or Go 1.26 built with GOEXPERIMENT=goroutineleakprofile.
func HasLeakProfile() bool { return pprof.Lookup(leakProfile) != nil }

// TakeLeakProfile returns the leaked goroutines as a survey: those that wait for something
// that no running goroutine can reach, according to the garbage collector. It finds about half
// of all leaks, and none that wait for a connection, a timer or a global variable. Survey.CPU
// is the CPU time that the whole process used meanwhile.
//
// It forces a garbage collection, which stops the world for a time that depends on what the
// goroutines wait for. last is a survey of at most a minute ago, from which TakeLeakProfile
// estimates that time. The error wraps [ErrTooCostly] if more than 1,000 goroutines wait for a
// Mutex, RWMutex or WaitGroup at one place or 4,000 at all places, or if there are more than
// SurveyConfig.MaxGoroutines. Other errors are [ErrNoLeakProfile], [ErrProfiler] and the error
// of ctx, which cannot interrupt the collection. One profile may contain goroutines that are
// not leaked (golang/go#79452): rely on what two of them contain.
func TakeLeakProfile(ctx context.Context, c SurveyConfig, last *Survey) (*Survey, error) {
	c = c.withDefaults(maxLeakProfiled)
	if err := leakProfileCost(c, last); err != nil {
		return nil, err
	}
	s, process, err := surveyProfile(ctx, leakProfile, c, "")
	if err != nil {
		return nil, err
	}
	if process > 0 {
		s.CPU = process // a collection runs on several cores
	}
	return s, nil
}

// WriteLeakProfile writes the goroutineleak profile in the format of go tool pprof. It has
// the cost and the errors of [TakeLeakProfile] with the zero SurveyConfig.
func WriteLeakProfile(ctx context.Context, w io.Writer, last *Survey) error {
	if err := leakProfileCost(SurveyConfig{}.withDefaults(maxLeakProfiled), last); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return profiles.Write(w, leakProfile, false)
}

// leakProfileCost returns an error if a leak profile is not available or might stop the world
// for long.
func leakProfileCost(c SurveyConfig, last *Survey) error {
	if !HasLeakProfile() {
		return ErrNoLeakProfile
	}
	return pauseOf(c, last)
}

// pauseOf returns an error that wraps ErrTooCostly if the last survey shows that a leak profile
// might stop the world for long, or is too old to show it.
func pauseOf(c SurveyConfig, last *Survey) error {
	if last == nil || time.Since(last.Time) > maxSurveyAge {
		return fmt.Errorf("%w: no recent survey", ErrTooCostly)
	}
	if n := max(last.Goroutines, runtime.NumGoroutine()); n > c.MaxGoroutines {
		return fmt.Errorf("%w: %d goroutines, the limit is %d", ErrTooCostly, n, c.MaxGoroutines)
	}
	var all [numWaitClasses]int
	for i := range last.Groups {
		g := &last.Groups[i]
		if f := g.Class.Family(); f != familyLock && f != familyWaitGroup {
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
	config   SurveyConfig
	cooldown time.Duration

	mu           sync.Mutex // also held while a profile is taken
	next         time.Time
	broken       error
	before, last map[Key]int // goroutines in the last two profiles
}

func newLeakProfiler(c SurveyConfig, cooldown time.Duration) *leakProfiler {
	return &leakProfiler{config: c, cooldown: cooldown}
}

// take takes a leak profile, unless the last one is too recent. After ErrProfiler it always
// fails.
func (p *leakProfiler) take(ctx context.Context, last *Survey) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.broken != nil {
		return p.broken
	}
	if time.Now().Before(p.next) {
		return errTooSoon
	}
	s, err := TakeLeakProfile(ctx, p.config, last)
	if errors.Is(err, ErrTooCostly) || errors.Is(err, ErrNoLeakProfile) {
		return err // nothing was spent
	}
	p.next = time.Now().Add(p.cooldown)
	if errors.Is(err, ErrProfiler) {
		p.broken = err
	}
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
