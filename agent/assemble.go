// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/gmpulse/gmpulse/agent/engine"
	"github.com/gmpulse/gmpulse/exporters/fluentd"
	"github.com/gmpulse/gmpulse/exporters/page"
	"github.com/gmpulse/gmpulse/exporters/prom"
	"github.com/gmpulse/gmpulse/exporters/spool"
	"github.com/gmpulse/gmpulse/internal/capacity"
	"github.com/gmpulse/gmpulse/internal/host"
	"github.com/gmpulse/gmpulse/runtimeinfo"
	"github.com/gmpulse/gmpulse/runtimeinfo/baseline"
	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines"
	"github.com/gmpulse/gmpulse/tracectx"
	"github.com/gmpulse/gmpulse/tracectx/exectrace"
)

// assemble makes the engine with its analyzers and exporters, and returns the handlers of the
// exporters that serve pages. The error joins all problems.
func (a *Agent) assemble(s *settings, attrs []runtimeinfo.Attr) (pages, error) {
	a.history = tracectx.NewHistory(0)
	if !s.noEnrichment {
		a.enrich.History = a.history
	}
	p, err := tracectx.New(tracectx.Config{NoLabels: s.noLabels, History: a.enrich.History})
	if err != nil {
		return pages{}, err
	}
	a.processor = p
	if err := s.makeRecorder(); err != nil {
		return pages{}, err
	}
	a.detector = newDetector(s, p)
	a.spans = &globalSpans{processor: p, logger: s.logger, service: a.service}
	onFirstProvider(a.attachFirst)
	a.spans.attach() // before the first tick, for spans that start before it
	opts := []engine.Option{
		engine.WithInterval(s.interval),
		engine.WithHostInterval(s.hostInterval),
		engine.WithLogger(s.logger),
		engine.WithResource(attrs...),
		engine.WithAnalyzer("spans", a.spans),
		engine.WithAnalyzer("history", a.history),
	}
	opts = append(opts, recorderOptions(s.recorder)...)
	opts = append(opts,
		engine.WithAnalyzer("goroutines", a.detector),
		engine.WithBackground("goroutines", func(ctx context.Context) { a.detector.Run(ctx, a.Snapshot) }),
		engine.WithAnalyzer("capacity", capacity.New(p.Inner)),
	)
	errs := []error{s.wrong, s.access.validate()}
	served, more, err := a.standardParts(s)
	opts, errs = append(opts, more...), append(errs, err)
	more, err = a.speakers(s)
	opts, errs = append(opts, more...), append(errs, err)
	a.engine, err = engine.New(append(opts, s.exporters...)...)
	return served, errors.Join(append(errs, err)...)
}

// standardParts makes the standard exporters and the baselines.
func (a *Agent) standardParts(s *settings) (served pages, opts []engine.Option, _ error) {
	profilerOptions, err := a.makeProfiler(s)
	errs := []error{err}
	add := func(err error, o func() engine.Option) {
		if errs = append(errs, err); err == nil {
			opts = append(opts, o())
		}
	}
	c := s.prometheus
	c.Selection = s.metrics
	if c.Logger == nil {
		c.Logger = s.logger
	}
	metrics, err := prom.New(c)
	if err != nil {
		err = fmt.Errorf("agent: WithPrometheus: %w", err)
	}
	add(err, func() engine.Option {
		served.metrics = metrics.Handler()
		return engine.WithExporter("prometheus", metrics, engine.EveryTick())
	})
	a.evidence, err = a.newEvidence(s)
	errs = append(errs, err)
	live, err := a.newPage(s)
	add(err, func() engine.Option {
		served.live = live.Handler()
		return engine.WithExporter("page", live, engine.EveryTick())
	})
	if !s.noBaselines {
		w, err := newBaselines(s)
		errs = append(errs, err)
		if a.baselines = w; err == nil {
			opts = append(opts, engine.WithAnalyzer("baselines", w), engine.WithBackground("baselines", w.Run))
		}
	}
	opts = append(opts, profilerOptions...) // after the analyzers that report incidents
	if s.fluentd.URL != "" {
		x, err := newFluentd(s, a.service)
		add(err, func() engine.Option { return engine.WithQueue("fluentd", x, x.ExporterStats, s.fluentdPace...) })
	}
	if a.evidence != nil {
		opts = append(opts, engine.WithExporter("evidence", a.evidence, engine.EveryTick()), engine.WithAnalyzer("evidence", a.evidence))
	}
	return served, opts, errors.Join(errs...)
}

// makeRecorder makes the default recorder, unless an option has set one or recording is off.
func (s *settings) makeRecorder() error {
	if s.recorder != nil || s.noRecorder {
		return nil
	}
	r, err := exectrace.New(exectrace.Config{Logger: s.logger})
	if err != nil {
		return fmt.Errorf("agent: %w", err)
	}
	s.recorder = r
	return nil
}

// attachFirst attaches to the first global TracerProvider, if it is the SDK's. It is called
// within otel.SetTracerProvider. A provider of another type may block that call, so the next
// tick attaches to it.
func (a *Agent) attachFirst(tp trace.TracerProvider) {
	if sdk, ok := tp.(*sdktrace.TracerProvider); ok && !a.stopping.Load() {
		a.processor.Attach(sdk)
	}
}

func newDetector(s *settings, p *tracectx.Processor) *goroutines.Detector {
	c := goroutines.DetectorConfig{
		Survey:   goroutines.SurveyConfig{RootLabel: tracectx.RootLabel, EpochLabel: tracectx.EpochLabel},
		Origin:   p.Origin,
		Accepted: acceptedConnections,
		Logger:   s.logger,
	}
	if s.recorder != nil {
		c.Record = s.recorder.Record
	}
	return goroutines.NewDetector(c)
}

// acceptedConnections returns how many connections the process has accepted and not
// closed. It costs about a microsecond per descriptor.
func acceptedConnections() (int, error) {
	const maxDescriptors = 100_000
	c, err := host.CountConnections(maxDescriptors)
	return c.Accepted, err
}

func newBaselines(s *settings) (*baseline.Watch, error) {
	c := s.baselines
	if c.Logger == nil {
		c.Logger = s.logger
	}
	w, err := baseline.New(c)
	if err != nil {
		return nil, fmt.Errorf("agent: WithBaselines: %w", err)
	}
	return w, nil
}

func (a *Agent) newPage(s *settings) (*page.Exporter, error) {
	c := s.page
	if c.Goroutines == nil {
		c.Goroutines = a.detector.Report
	}
	if c.NoSpans == nil {
		c.NoSpans = a.spans.none.Load
	}
	if c.Resolution == 0 {
		c.Resolution = min(max(s.interval, time.Second), engine.MaxInterval) // engine.New reports a longer interval
	}
	if c.MaxViewers == 0 {
		c.MaxViewers = viewerLimit(connectionLimit(fileLimit()))
	}
	if c.Profiler == nil {
		c.Profiler = a.profiler
	}
	if a.evidence != nil && c.Bundles == nil && c.Capture == nil {
		c.Bundles, c.Capture = a.evidence, a.evidence.Capture
	}
	e, err := page.New(c)
	if err != nil {
		return nil, fmt.Errorf("agent: WithPage: %w", err)
	}
	return e, nil
}

// newFluentd makes the Fluentd exporter and its spool.
func newFluentd(s *settings, service string) (*spool.Exporter, error) {
	c := s.fluentd
	if c.Tag == "" {
		c.Tag = "gmpulse"
	}
	if c.Service == "" {
		c.Service = service
	}
	e, err := fluentd.New(c)
	if err != nil {
		return nil, fmt.Errorf("agent: GMPULSE_FLUENTD* or WithFluentd: %w", err)
	}
	q := s.spool
	q.Name, q.Logger = "fluentd", s.logger
	x, err := spool.New(e, q)
	if err != nil {
		return nil, fmt.Errorf("agent: GMPULSE_SPOOL_* or WithSpool: %w", err)
	}
	return x, nil
}
