// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

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
	// MaxInterval is the maximum of both intervals.
	MaxInterval = time.Hour

	defaultInterval      = time.Second
	defaultHostInterval  = 10 * time.Second
	defaultExportTimeout = 5 * time.Second

	// pulseInterval differs from 100 ms, the period of CPU quotas in Linux. A ticker in step
	// with that period would fire only in the part of each period in which the process runs.
	pulseInterval = 87 * time.Millisecond
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
	name     string
	exporter exporters.Exporter
	queue    func() exporters.Stats // nil if the exporter has no queue
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

func defaultConfig() config {
	return config{
		interval:      defaultInterval,
		hostInterval:  defaultHostInterval,
		exportTimeout: defaultExportTimeout,
		logger:        slog.Default(),
	}
}

// WithInterval sets the time between two ticks, from [MinInterval] to [MaxInterval]. Zero means
// the default of one second.
func WithInterval(d time.Duration) Option {
	return func(c *config) { set(&c.interval, d) }
}

// WithHostInterval sets the time between two host passes, which read process, container and
// host, from [MinHostInterval] to [MaxInterval]. Zero means the default of ten seconds.
func WithHostInterval(d time.Duration) Option {
	return func(c *config) { set(&c.hostInterval, d) }
}

// WithExportTimeout sets the timeout of each call of an exporter, from 1 ms to one hour. Zero
// means the default of five seconds.
func WithExportTimeout(d time.Duration) Option {
	return func(c *config) { set(&c.exportTimeout, d) }
}

// WithExporter adds an exporter. The name identifies it in metrics and logs and must be
// unique. The engine calls Shutdown of the exporter when it stops.
func WithExporter(name string, e exporters.Exporter) Option {
	return func(c *config) { c.exporters = append(c.exporters, namedExporter{name: name, exporter: e}) }
}

// WithQueue adds an exporter that stores snapshots in a queue and delivers them later, such as
// the exporter of package spool. stats returns the statistics of the queue. The engine adds
// them to the exporter's statistics. It calls stats once per tick and waits at most 10 ms. While
// stats hangs, and after a call that panicked, the engine uses the last result.
func WithQueue(name string, e exporters.Exporter, stats func() exporters.Stats) Option {
	return func(c *config) { c.exporters = append(c.exporters, namedExporter{name, e, stats}) }
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
	return func(c *config) {
		if l != nil {
			c.logger = l
		}
	}
}

func set(to *time.Duration, d time.Duration) {
	if d != 0 {
		*to = d
	}
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

func within(option string, d, least time.Duration) error {
	if d < least || d > MaxInterval {
		return fmt.Errorf("engine: %s: %v is not between %v and %v", option, d, least, MaxInterval)
	}
	return nil
}
