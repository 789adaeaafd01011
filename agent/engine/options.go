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
	// DefaultInterval is the time between two ticks.
	DefaultInterval = time.Second
	// MinInterval is the shortest interval: a tick costs about 40 µs of CPU with
	// cold caches, so that 10 ms is 0.4 % of a core.
	MinInterval = 10 * time.Millisecond
	// DefaultHostInterval is the time between two host passes.
	DefaultHostInterval = 10 * time.Second
	// MinHostInterval is the shortest: a pass costs up to a millisecond.
	MinHostInterval = 100 * time.Millisecond
	// MaxInterval is the longest of both.
	MaxInterval = time.Hour
	// DefaultExportTimeout bounds each call of an exporter.
	DefaultExportTimeout = 5 * time.Second

	// pulseInterval differs from 100 ms, the period in which the kernel enforces CPU quotas: a
	// pulse in step with that period would always wake in the part in which the process runs.
	pulseInterval = 87 * time.Millisecond
)

// Option configures an engine, see [New].
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
	queue    func() exporters.Stats // nil for none
}

type namedAnalyzer struct {
	name     string
	analyzer Analyzer
}

// work is background work of a part of the agent.
type work struct {
	name string
	run  func(context.Context)
}

func defaultConfig() config {
	return config{
		interval:      DefaultInterval,
		hostInterval:  DefaultHostInterval,
		exportTimeout: DefaultExportTimeout,
		logger:        slog.Default(),
	}
}

// WithInterval sets the time between two ticks. Default [DefaultInterval]; from
// [MinInterval] to one hour. Zero means the default.
func WithInterval(d time.Duration) Option {
	return func(c *config) { set(&c.interval, d) }
}

// WithHostInterval sets the time between two host passes. Default
// [DefaultHostInterval]; from [MinHostInterval] to one hour. Zero means the default.
func WithHostInterval(d time.Duration) Option {
	return func(c *config) { set(&c.hostInterval, d) }
}

// WithExportTimeout bounds each call of an exporter. Default
// [DefaultExportTimeout]; from 1 ms to one hour. Zero means the default.
func WithExportTimeout(d time.Duration) Option {
	return func(c *config) { set(&c.exportTimeout, d) }
}

// WithExporter adds an exporter. The name identifies it in metrics and logs and must be
// unique. The engine shuts the exporter down when it stops.
func WithExporter(name string, e exporters.Exporter) Option {
	return func(c *config) { c.exporters = append(c.exporters, namedExporter{name: name, exporter: e}) }
}

// WithQueue adds an exporter that accepts snapshots at once and delivers them later, as
// package spool does. stats returns the statistics of its queue; the engine merges them
// with the statistics of its own mailbox. The engine calls stats once a tick and waits
// 10 ms for it. While stats hangs, and after it has panicked, the last result is used.
func WithQueue(name string, e exporters.Exporter, stats func() exporters.Stats) Option {
	return func(c *config) { c.exporters = append(c.exporters, namedExporter{name, e, stats}) }
}

// WithAnalyzer adds an analyzer under a name that metrics and logs use. Analyzers are
// called in the order of the options: each sees what those before it have added.
func WithAnalyzer(name string, a Analyzer) Option {
	return func(c *config) { c.analyzers = append(c.analyzers, namedAnalyzer{name, a}) }
}

// WithBackground has the engine call run on a goroutine of its own while the engine
// runs. run must return when ctx is done: Stop waits for it until its deadline. A panic
// is logged and not repeated. It is for analyzers that work between ticks.
func WithBackground(name string, run func(ctx context.Context)) Option {
	return func(c *config) { c.background = append(c.background, work{name, run}) }
}

// WithResource sets the attributes that describe the process in every snapshot:
// service.name, service.instance.id and so on. Default none.
func WithResource(attrs ...runtimeinfo.Attr) Option {
	return func(c *config) { c.resource = slices.Clone(attrs) }
}

// WithLogger sets where the engine logs changes of state: an exporter begins to
// fail, or works again. Default, and nil, is slog.Default().
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

// validate joins everything that is wrong with the configuration.
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
			errs = append(errs, errors.New("engine: WithExporter: the name is empty; give each exporter one of its own"))
		case seen[x.name]:
			errs = append(errs, fmt.Errorf("engine: WithExporter: the name %q is taken; give each exporter one of its own", x.name))
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
