// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/gmpulse/gmpulse/agent/engine/internal/delivery"
	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/internal/guard"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

const (
	// MinInterval is the minimum of [WithInterval]. A tick takes about 40 µs of CPU time with
	// cold caches, which is 0.4 % of a core at this interval.
	MinInterval = 10 * time.Millisecond
	// MinHostInterval is the minimum of [WithHostInterval]. A host pass takes up to a
	// millisecond of CPU time.
	MinHostInterval = 100 * time.Millisecond
	// MaxInterval is the maximum of all intervals.
	MaxInterval = time.Hour

	defaultPace = 10 * time.Second
)

// Option configures an engine, see [New]. A later option overrides an earlier one.
type Option func(*config)

type config struct {
	interval      time.Duration
	hostInterval  time.Duration
	exportTimeout time.Duration
	logger        *slog.Logger
	resource      []runtimeinfo.Attr
	analyzers     []namedAnalyzer
	background    []work
	exporters     []namedExporter
}

type namedExporter struct {
	name      string
	exporter  exporters.Exporter
	queue     func() exporters.Stats // nil if the exporter has no queue
	interval  time.Duration
	everyTick bool // the exporter has no interval
}

type namedAnalyzer struct {
	name     string
	analyzer Analyzer
}

// work is a function of WithBackground.
type work struct {
	name string
	run  func(context.Context)
}

// WithInterval sets the time between two ticks, from [MinInterval] to [MaxInterval]. Zero means
// the default of one second.
func WithInterval(d time.Duration) Option {
	return func(c *config) { c.interval = cmp.Or(d, c.interval) }
}

// WithHostInterval sets the time between two host passes, which read process, container and
// host, from [MinHostInterval] to [MaxInterval]. Zero means the default of ten seconds.
func WithHostInterval(d time.Duration) Option {
	return func(c *config) { c.hostInterval = cmp.Or(d, c.hostInterval) }
}

// WithExportTimeout sets the timeout of each call of an exporter, from 1 ms to one hour. Zero
// means the default of five seconds.
func WithExportTimeout(d time.Duration) Option {
	return func(c *config) { c.exportTimeout = cmp.Or(d, c.exportTimeout) }
}

// WithExporter adds an exporter. The name identifies it in metrics and logs and must be
// unique. The engine calls the exporter every ten seconds, or as [Every] and [EveryTick] say, and
// calls its Shutdown when it stops.
//
// An exporter that is called less often than the engine ticks receives a summary of the ticks
// since its last call, see [runtimeinfo.Snapshot]: nothing that is cumulative is lost, and gauges
// such as the number of goroutines have their minimum, mean and maximum.
//
// Events do not wait for the end of the interval. The engine calls the exporter at the tick of an
// event. While events go on, the next calls before the end of an interval follow after one second,
// two, four, eight and then ten, or after an interval if that is shorter. If a call fails, its
// ticks become a part of the next summary, and its events are sent again after ten seconds or an
// interval, whichever is shorter. Stop delivers the ticks of the interval that it ends.
//
// The first call is up to one interval after the first tick. The delay is derived from the resource
// attribute service.instance.id and the name of the exporter, so that the instances of a service
// that start together do not call their backend together. Without the attribute it is random.
func WithExporter(name string, e exporters.Exporter, opts ...ExporterOption) Option {
	return WithQueue(name, e, nil, opts...)
}

// ExporterOption configures how the engine calls an exporter, see [WithExporter].
type ExporterOption func(*namedExporter)

// Every sets the time between two calls of an exporter, from [MinInterval] to [MaxInterval]. The
// exporter is called at every tick if it is shorter than the interval of the engine. Zero means the
// default of ten seconds, which every instance of a large service can afford to send.
func Every(d time.Duration) ExporterOption {
	return func(x *namedExporter) { x.interval, x.everyTick = cmp.Or(d, defaultPace), false }
}

// EveryTick calls an exporter at every tick, with no summary. It is for exporters that keep their
// data in the process, such as the exporters of packages prom, page and evidence.
func EveryTick() ExporterOption { return func(x *namedExporter) { x.everyTick = true } }

// WithQueue adds an exporter that stores snapshots in a queue and delivers them later, such as
// the exporter of package spool. stats returns the statistics of the queue. The engine adds
// them to the exporter's statistics. It calls stats once per tick and waits at most 10 ms. While
// stats hangs, and after a call that panicked, the engine uses the last result.
// The engine calls the exporter as often as one of [WithExporter].
func WithQueue(name string, e exporters.Exporter, stats func() exporters.Stats, opts ...ExporterOption) Option {
	return func(c *config) {
		x := namedExporter{name: name, exporter: e, queue: stats, interval: defaultPace}
		for _, o := range opts {
			if o != nil {
				o(&x)
			}
		}
		c.exporters = append(c.exporters, x)
	}
}

// WithAnalyzer adds an analyzer. The name identifies it in metrics and logs. The engine calls
// analyzers in the order of the options. Each sees what earlier analyzers have added.
func WithAnalyzer(name string, a Analyzer) Option {
	return func(c *config) { c.analyzers = append(c.analyzers, namedAnalyzer{name, a}) }
}

// WithBackground adds a function that the engine calls on its own goroutine when the engine
// starts, for analyzers that work between ticks. run must return when ctx is done; Stop waits
// for it until its deadline. If run panics, the engine logs the panic and does not call it
// again. The name identifies the function in logs.
func WithBackground(name string, run func(ctx context.Context)) Option {
	return func(c *config) { c.background = append(c.background, work{name, run}) }
}

// WithResource sets the attributes that describe the process in every snapshot:
// service.name, service.instance.id and so on. The default is no attributes.
func WithResource(attrs ...runtimeinfo.Attr) Option {
	return func(c *config) { c.resource = slices.Clone(attrs) }
}

// WithLogger sets the logger. The engine logs changes of state, such as an exporter that begins
// to fail or works again. The default, and the meaning of nil, is [slog.Default].
func WithLogger(l *slog.Logger) Option {
	return func(c *config) { c.logger = cmp.Or(l, c.logger) }
}

// validate returns an error that joins all invalid settings.
func (c *config) validate() error {
	errs := []error{
		within("WithInterval", c.interval, MinInterval),
		within("WithHostInterval", c.hostInterval, MinHostInterval),
		within("WithExportTimeout", c.exportTimeout, time.Millisecond),
	}
	seen := map[string]bool{}
	for _, x := range c.exporters {
		switch {
		case x.name == "":
			errs = append(errs, errors.New("engine: WithExporter: the name is empty; each exporter needs a unique name"))
		case seen[x.name]:
			errs = append(errs, fmt.Errorf("engine: WithExporter: the name %q is used twice; each exporter needs a unique name", x.name))
		case guard.IsNil(x.exporter):
			errs = append(errs, fmt.Errorf("engine: WithExporter: the exporter %q is nil (%T)", x.name, x.exporter))
		}
		seen[x.name] = true
		if !x.everyTick {
			errs = append(errs, within("WithExporter: Every, for the exporter "+strconv.Quote(x.name), x.interval, MinInterval))
		}
	}
	for _, a := range c.analyzers {
		if guard.IsNil(a.analyzer) {
			errs = append(errs, fmt.Errorf("engine: WithAnalyzer: the analyzer %q is nil (%T)", a.name, a.analyzer))
		}
	}
	for _, w := range c.background {
		if w.run == nil {
			errs = append(errs, fmt.Errorf("engine: WithBackground: the function of %q is nil", w.name))
		}
	}
	return errors.Join(errs...)
}

// pace returns how often an exporter is called.
func (c *config) pace(x *namedExporter) delivery.Pace {
	if x.everyTick {
		return delivery.Pace{Tick: c.interval}
	}
	instance := strconv.FormatUint(rand.Uint64(), 36)
	for _, a := range c.resource {
		if a.Key == "service.instance.id" {
			instance = a.Value
		}
	}
	return delivery.Pace{Interval: x.interval, Tick: c.interval, Phase: delivery.PhaseOf(x.interval, c.interval, instance, x.name)}
}

func within(option string, d, least time.Duration) error {
	if d < least || d > MaxInterval {
		return fmt.Errorf("engine: %s: %v is not between %v and %v", option, d, least, MaxInterval)
	}
	return nil
}
