// SPDX-License-Identifier: Apache-2.0

// Package profiler takes profiles of the process all the time, so that they exist for the minute
// before an incident, and estimates how much CPU time each endpoint uses.
//
//	p, err := profiler.New(profiler.Config{RootLabel: tracectx.RootLabel})
//	e, err := engine.New(engine.WithAnalyzer("profiler", p), engine.WithBackground("profiler", p.Run), ...)
//
// A [Profiler] takes a CPU profile of one second in every 30, and a heap and a goroutine profile
// every ten minutes and when an incident opens. It is an analyzer that publishes the CPU time by
// local root span, see [Usage]. It keeps the profiles within 32 MiB, compressed.
//
// A process has one CPU profiler. If the application or another library uses it, the Profiler
// counts a missed profile and tries again in the next period, then after 3, 7, 15 periods and so on,
// up to an hour, so that it hardly ever begins between two profiles of an application that profiles
// itself all the time. During its own profile, pprof.StartCPUProfile of other code fails;
// [Profiler.Suspend] prevents that.
//
// # Cost
//
// While it profiles, the runtime interrupts each running thread 100 times per second of CPU time.
// Ending and reading a profile takes a few milliseconds. benchmarks/README.md has the figures of a
// whole application.
package profiler

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"runtime/pprof"
	"sync"
	"time"

	"github.com/gmpulse/gmpulse/internal/agentlabel"
	"github.com/gmpulse/gmpulse/internal/cputime"
	"github.com/gmpulse/gmpulse/internal/guard"
	"github.com/gmpulse/gmpulse/internal/headroom"
	"github.com/gmpulse/gmpulse/internal/profiles"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

const (
	// minFor and maxFor bound Config.For, maxEvery bounds Config.Every.
	minFor   = 100 * time.Millisecond
	maxFor   = 10 * time.Second
	maxEvery = time.Hour

	defaultFor      = time.Second
	defaultEvery    = 30 * time.Second
	defaultMaxBytes = 32 << 20
)

// Config configures a [Profiler]. The zero value takes a CPU profile of one second in every 30 and
// knows no root spans.
type Config struct {
	// For is the duration of a CPU profile, from 100 ms to 10 s. Zero means one second.
	For time.Duration
	// Every is the period of CPU profiles, up to one hour. Each profile begins at a random time
	// within its period, so that periodic work is not always or never within it. It must be at
	// least twice For. Zero means 30 seconds.
	Every time.Duration
	// NoCPU omits CPU profiles. Heap and goroutine profiles are taken nevertheless.
	NoCPU bool
	// MaxBytes is the maximum size of all stored profiles in bytes. Zero means 32 MiB.
	MaxBytes int64
	// Dir is a directory in which the Profiler creates a subdirectory for the stored profiles.
	// It begins empty and is removed when Run returns; two hours after a crash, the next process
	// removes it. If Dir is empty, not writable or has less than 1 GiB or 5 % free, profiles are
	// stored in memory.
	Dir string
	// RootLabel is the profiler label with the name of the local root span, such as
	// tracectx.RootLabel. Without it no CPU time belongs to a root span.
	RootLabel string
	// EpochLabel and Origin tell the names that a value of RootLabel stands for, if names were cut,
	// such as tracectx.EpochLabel and tracectx.Processor.Origin. Without Origin, the values of
	// RootLabel are the names.
	EpochLabel string
	Origin     func(root, epoch string) (o runtimeinfo.Origin, ok bool)
	// Sink, if not nil, receives each profile when it is taken: its kind ("cpu", "heap" or
	// "goroutine"), the time that it covers, and the compressed protocol buffer, which Sink must not
	// change. It must return at once, such as Exporter.Enqueue of exporters/otlp/otlpprofiles. After
	// a panic it is not called again.
	Sink func(kind string, from, to time.Time, data []byte)
	// Logger receives one line for each change of state. Nil means [slog.Default].
	Logger *slog.Logger
}

func (c Config) withDefaults() (Config, error) {
	c.For = cmp.Or(c.For, defaultFor)
	c.Every = cmp.Or(c.Every, defaultEvery)
	c.MaxBytes = cmp.Or(c.MaxBytes, defaultMaxBytes)
	c.Logger = guard.Logger(cmp.Or(c.Logger, slog.Default()))
	var errs []error
	if c.For < minFor || c.For > maxFor {
		errs = append(errs, fmt.Errorf("profiler: Config.For is %v: set it between %v and %v, or to 0 for %v", c.For, minFor, maxFor, defaultFor))
	}
	if c.Every < 2*c.For || c.Every > maxEvery {
		errs = append(errs, fmt.Errorf("profiler: Config.Every is %v: set it between twice For, which is %v, and %v, or to 0 for %v", c.Every, c.For, maxEvery, defaultEvery))
	}
	if c.MaxBytes < 0 {
		errs = append(errs, fmt.Errorf("profiler: Config.MaxBytes is %d: set it above zero, or to 0 for 32 MiB", c.MaxBytes))
	}
	return c, errors.Join(errs...)
}

// Profiler takes profiles, keeps them, and estimates the CPU time by root span. Use [New] to make
// one. Its methods may be called concurrently. A nil Profiler takes no profiles and has none.
type Profiler struct {
	config   Config
	fits     func(bytes int64) error // headroom.Check
	startCPU func(io.Writer) error   // pprof.StartCPUProfile
	stopCPU  func()

	history history
	storing sync.Mutex    // held while a profile is stored; guards diskFails and sinkFails
	opened  chan struct{} // receives a value when an incident opens
	broken  bool          // goroutine profiles panic; used by repeat only
	short   map[Kind]bool // there was no memory for the last profile; used by repeat only
	// diskFails reports whether the last profile could not be written to the directory.
	diskFails bool
	sinkFails bool // Config.Sink has panicked

	mu        sync.Mutex
	suspended int         // calls of Suspend in effect
	running   *cpuProfile // nil if none is in progress
	usage     usage
	stats     stats
	incidents incidents
	cpuFails  bool // the last CPU profile failed, which the log has
	backoff   backoff
}

// New returns a Profiler. It does nothing until Run is called. The error joins all invalid fields
// of c.
func New(c Config) (*Profiler, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	p := &Profiler{
		config: c, fits: headroom.Check, startCPU: pprof.StartCPUProfile, stopCPU: pprof.StopCPUProfile,
		history: history{maxBytes: c.MaxBytes, byKind: map[Kind][]*Profile{}}, opened: make(chan struct{}, 1), short: map[Kind]bool{},
		stats: stats{taken: map[Kind]uint64{}, missed: map[missReason]uint64{}},
	}
	if c.Dir != "" {
		p.history.files = newDirectory(c.Dir)
	}
	return p, nil
}

// Config returns the configuration with its defaults.
func (p *Profiler) Config() Config { return p.config }

// Run takes profiles until ctx is done. It must be called once.
func (p *Profiler) Run(ctx context.Context) {
	pprof.Do(ctx, pprof.Labels(agentlabel.Key, "profiler"), func(ctx context.Context) {
		var wg sync.WaitGroup
		if !p.config.NoCPU {
			wg.Go(func() { p.cycle(ctx) })
		}
		p.repeat(ctx)
		wg.Wait()
	})
	p.history.removeFiles()
}

// cycle takes one CPU profile in each period, at a random time.
func (p *Profiler) cycle(ctx context.Context) {
	p.mu.Lock()
	p.usage.start(time.Now(), cputime.Process())
	p.mu.Unlock()
	for begin := time.Now(); ; begin = begin.Add(p.config.Every) {
		if time.Since(begin) > p.config.Every { // the process was suspended
			begin = time.Now()
		}
		phase := rand.N(p.config.Every - p.config.For)
		if profiles.Wait(ctx, nil, time.Until(begin.Add(phase))) != nil {
			return
		}
		p.takeCPU(ctx)
		if profiles.Wait(ctx, nil, time.Until(begin.Add(p.config.Every))) != nil {
			return
		}
	}
}
