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

	// pulseInterval is no tenth of a second: the kernel enforces CPU quotas in periods of
	// 100 ms, and a pulse that keeps step with them would always wake in the part in
	// which the process runs.
	pulseInterval = 87 * time.Millisecond
)

// SpanSource tells which requests are in flight. [tracectx.Processor] is one.
//
// [tracectx.Processor]: https://pkg.go.dev/github.com/gmpulse/gmpulse/tracectx#Processor
type SpanSource interface {
	// Observe is called once a tick, from one goroutine, with the tick's time.
	// It must not block.
	Observe(now time.Time) runtimeinfo.SpanActivity
}

// Detective looks into what the goroutines do. [goroutines.Detector] is one;
// the engine does not link it.
//
// [goroutines.Detector]: https://pkg.go.dev/github.com/gmpulse/gmpulse/runtimeinfo/goroutines#Detector
type Detective interface {
	// Run investigates until ctx is done, on a goroutine of its own.
	Run(ctx context.Context, latest func() *runtimeinfo.Snapshot)
	// Findings returns what is to go into the next snapshot. It is called once a
	// tick and must not block.
	Findings() *runtimeinfo.Findings
}

// Baselines knows what is normal. [baseline.Watch] is one; the engine does not
// link it.
//
// [baseline.Watch]: https://pkg.go.dev/github.com/gmpulse/gmpulse/runtimeinfo/baseline#Watch
type Baselines interface {
	// Run does what takes its time, until ctx is done, on a goroutine of its own.
	Run(ctx context.Context)
	// Judge says what was expected of a snapshot and what is wrong with it. It is
	// called once a tick, with what the detective found, nil for nothing, and must
	// not block. The snapshot lacks metrics with labels; it must not be kept.
	Judge(s *runtimeinfo.Snapshot, f *runtimeinfo.Findings) ([]runtimeinfo.Band, []runtimeinfo.Event)
}

// keeper is an exporter that keeps evidence, such as an evidence.Store. Its method is
// called once a tick and must not block.
type keeper interface {
	Captures() runtimeinfo.CaptureStats
}

// Option configures an engine, see [New].
type Option func(*config)

type config struct {
	interval      time.Duration
	hostInterval  time.Duration
	exportTimeout time.Duration
	logger        *slog.Logger
	spans         SpanSource
	detective     Detective
	baselines     Baselines
	history       *runtimeinfo.History
	resource      []runtimeinfo.Attr
	exporters     []namedExporter
}

type namedExporter struct {
	name     string
	exporter exporters.Exporter
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

// WithExporter adds an exporter. The name tells it from others in metrics and
// logs and must be unique. The engine shuts the exporter down when it stops.
func WithExporter(name string, e exporters.Exporter) Option {
	return func(c *config) { c.exporters = append(c.exporters, namedExporter{name, e}) }
}

// WithSpans sets the source of active spans. Default none: snapshots have no spans.
func WithSpans(s SpanSource) Option {
	return func(c *config) { c.spans = s }
}

// WithDetective sets who looks into what the goroutines do. Default nobody.
func WithDetective(d Detective) Option {
	return func(c *config) { c.detective = d }
}

// WithBaselines sets who says what is normal. Default nobody: snapshots have no bands.
func WithBaselines(b Baselines) Option {
	return func(c *config) { c.baselines = b }
}

// WithHistory has every snapshot added to h, which then knows what the process
// went through at any recent time. Default none.
func WithHistory(h *runtimeinfo.History) Option {
	return func(c *config) { c.history = h }
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
	for _, part := range []struct {
		option string
		v      any
	}{{"WithSpans", c.spans}, {"WithDetective", c.detective}, {"WithBaselines", c.baselines}} {
		if part.v != nil && guard.IsNil(part.v) {
			errs = append(errs, fmt.Errorf("engine: %s: it is a nil %T; leave the option out for none", part.option, part.v))
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
