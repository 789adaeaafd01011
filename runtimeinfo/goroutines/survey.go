// SPDX-License-Identifier: Apache-2.0

// Package goroutines finds out what the goroutines of this process do, groups
// them, and reports which groups leak. A survey counts all of them by group:
//
//	s, err := goroutines.NewSurveyor(goroutines.Config{}).Take(ctx)
//	for _, g := range s.Groups {
//		fmt.Println(g.Count, g.Key) // 4012 chan send at shop.(*Cart).notify (cart.go:88) of shop.(*Cart).notify
//	}
//
// A survey reads the goroutine profile of runtime/pprof, which stops the world
// for some 10–160 µs whatever the number of goroutines, and costs about 3.5 µs of
// CPU time for each (BenchmarkTake). A [Governor] says when it is worth that.
//
// A [Detective] takes surveys from time to time. While a group is suspicious it has a
// [Recorder] make execution traces of a few seconds, which show whether the members
// run, what wakes them, whether they end and which line creates them; from that it
// makes a [Verdict] on each group that grows. A [Prover] asks the garbage collector,
// from Go 1.27 on, which goroutines can never run again.
package goroutines

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"sync"
	"time"

	"github.com/gmpulse/gmpulse/internal/headroom"
)

// ErrTooMany is the error of a survey that was not taken because there are more
// goroutines than Config.MaxGoroutines, or than there is memory for.
var ErrTooMany = errors.New("goroutines: too many to survey")

// ErrProfiler is the error of a survey or proof during which the runtime's
// profiler panicked, and of every later one: something in the process has
// corrupted the goroutines' labels, and the next attempt might be fatal.
var ErrProfiler = errors.New("goroutines: the profiler panicked")

// Survey is the goroutines of the process at one moment, in groups. It is
// immutable and keeps nothing of the profile that it was made from: about
// 0.5 KB for each group, at most 2.2 KB and its births.
type Survey struct {
	Time       time.Time
	Goroutines int     // in all groups, also those beyond the bound; without the agent's
	Agent      int     // the agent's own, left out of everything else
	Groups     []Group // the largest first; equal ones by Key
	Rest       int     // goroutines in groups beyond Config.MaxGroups

	// Wall is how long the survey took. CPU is the CPU time of the thread that took it;
	// where the system does not tell that, the lesser of Wall and what the process used
	// meanwhile.
	Wall, CPU time.Duration
	Bytes     int // of the encoded profile
}

// Get returns the group with key k, nil if there is none. It looks at every
// group; who needs many makes a map.
func (s *Survey) Get(k Key) *Group {
	for i := range s.Groups {
		if s.Groups[i].Key == k {
			return &s.Groups[i]
		}
	}
	return nil
}

// Config says what a survey looks at. The zero value is a good one, but knows
// no births.
type Config struct {
	// RootLabel and EpochLabel are the pprof label keys of Birth.Root and
	// Birth.Epoch. Empty: there are none.
	RootLabel, EpochLabel string
	// AgentLabel is the pprof label key that marks a goroutine as the agent's,
	// with any value but an empty one, which no profile carries. Empty: "gmpulse".
	AgentLabel string
	// MaxGroups bounds the groups of a survey; the smallest are left out. Zero
	// or less: 10,000.
	MaxGroups int
	// MaxGoroutines is the number of goroutines above which there is no survey.
	// It bounds time and memory: at the default of 200,000 (zero or less) about
	// 0.7 s of CPU time, 200 MB of garbage and 80 MB at a time; where somebody
	// labels every goroutine differently 1.8 s, and 330 MB at a time. A [Prover]'s
	// default is 10,000.
	MaxGoroutines int
}

func (c Config) withDefaults(maxGoroutines int) Config {
	if c.AgentLabel == "" {
		c.AgentLabel = "gmpulse"
	}
	if c.MaxGroups <= 0 {
		c.MaxGroups = 10_000
	}
	if c.MaxGoroutines <= 0 {
		c.MaxGoroutines = maxGoroutines
	}
	return c
}

// Surveyor takes surveys. Make one with NewSurveyor. Its methods are safe for
// concurrent use; surveys are taken one after the other.
type Surveyor struct {
	config Config
	self   string // the method that shows up in the profile it takes

	mu     sync.Mutex
	broken error
}

// NewSurveyor returns a Surveyor.
func NewSurveyor(c Config) *Surveyor {
	return &Surveyor{
		config: c.withDefaults(200_000),
		self:   reflect.TypeFor[Surveyor]().PkgPath() + ".(*Surveyor).Take",
	}
}

// Take looks at all goroutines but the agent's and those that are in Take. It
// cannot be interrupted, and keeps one core busy for about 3.5 µs for each
// goroutine; ctx is only looked at before the costly steps.
//
// The error is ErrTooMany where there are too many, ErrProfiler where the
// profiler panicked (the Surveyor then stays out of use), or that of ctx.
func (s *Surveyor) Take(ctx context.Context) (*Survey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil {
		return nil, s.broken
	}
	if err := s.tooMany(runtime.NumGoroutine()); err != nil {
		return nil, err
	}
	survey, _, err := take(ctx, "goroutine", s.config, s.self)
	if errors.Is(err, ErrProfiler) {
		s.broken = err
	}
	return survey, err
}

// tooMany returns the error of a survey of so many goroutines, if there is to be none.
func (s *Surveyor) tooMany(goroutines int) error {
	if goroutines > s.config.MaxGoroutines {
		return fmt.Errorf("%w: %d, the cap is %d", ErrTooMany, goroutines, s.config.MaxGoroutines)
	}
	if err := headroom.Check(headroom.Goroutines(goroutines)); err != nil {
		return fmt.Errorf("%w: %d: %w", ErrTooMany, goroutines, err)
	}
	return nil
}
