// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"cmp"
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

// parts are the options that add the parts of an agent to its engine, and the problems of parts
// that are misconfigured.
type parts struct {
	opts []engine.Option
	errs []error
}

// add adds options unless there is an error. It reports whether there is none.
func (p *parts) add(err error, opts ...engine.Option) (ok bool) {
	p.errs = append(p.errs, err)
	if err == nil {
		p.opts = append(p.opts, opts...)
	}
	return err == nil
}

// about adds to err, which may be nil, what it is about.
func about(settings string, err error) error {
	if err != nil {
		err = fmt.Errorf("agent: %s: %w", settings, err)
	}
	return err
}

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
	all := parts{errs: []error{s.wrong, s.access.validate()}}
	all.add(nil,
		engine.WithInterval(s.interval),
		engine.WithHostInterval(s.hostInterval),
		engine.WithLogger(s.logger),
		engine.WithResource(attrs...),
		engine.WithAnalyzer("spans", a.spans),
		engine.WithAnalyzer("history", a.history),
	)
	if r := s.recorder; r != nil {
		all.add(nil, engine.WithAnalyzer("recorder", r), engine.WithBackground("recorder", r.Run))
	}
	all.add(nil,
		engine.WithAnalyzer("goroutines", a.detector),
		engine.WithBackground("goroutines", func(ctx context.Context) { a.detector.Run(ctx, a.Snapshot) }),
		engine.WithAnalyzer("capacity", capacity.New(p.Inner)),
	)
	served := a.addStandard(&all, s)
	a.addIncidentExporters(&all, s)
	all.add(nil, s.exporters...)
	a.engine, err = engine.New(all.opts...)
	return served, errors.Join(append(all.errs, err)...)
}

// addStandard adds the standard exporters, the baselines and the profiler.
func (a *Agent) addStandard(all *parts, s *settings) (served pages) {
	var err error
	a.profiler, err = a.newProfiler(s)
	all.add(err)
	c := s.prometheus
	c.Selection = s.metrics
	c.Logger = cmp.Or(c.Logger, s.logger)
	metrics, err := prom.New(c)
	if all.add(about("WithPrometheus", err), engine.WithExporter("prometheus", metrics, engine.EveryTick())) {
		served.metrics = metrics.Handler()
	}
	a.evidence, err = a.newEvidence(s)
	all.add(err)
	live, err := a.newPage(s)
	if all.add(err, engine.WithExporter("page", live, engine.EveryTick())) {
		served.live = live.Handler()
	}
	if !s.noBaselines {
		c := s.baselines
		c.Logger = cmp.Or(c.Logger, s.logger)
		a.baselines, err = baseline.New(c)
		all.add(about("WithBaselines", err), engine.WithAnalyzer("baselines", a.baselines), engine.WithBackground("baselines", a.baselines.Run))
	}
	if a.profiler != nil { // after the analyzers that report incidents
		all.add(nil, engine.WithAnalyzer("profiler", a.profiler), engine.WithBackground("profiler", a.profiler.Run))
	}
	if s.fluentd.URL != "" {
		x, err := newFluentd(s, a.service)
		all.add(err, engine.WithQueue("fluentd", x, x.ExporterStats, s.fluentdPace...))
	}
	if a.evidence != nil {
		all.add(nil, engine.WithExporter("evidence", a.evidence, engine.EveryTick()), engine.WithAnalyzer("evidence", a.evidence))
		if dir := s.evidence.Dir; dir != "" {
			all.add(nil, engine.WithBackground("evidence directory", func(context.Context) { checkDir(dir, s.logger) }))
		}
	}
	return served
}

// makeRecorder makes the default recorder, unless an option has set one or recording is off.
func (s *settings) makeRecorder() error {
	if s.recorder != nil || s.noRecorder {
		return nil
	}
	var err error
	s.recorder, err = exectrace.New(exectrace.Config{Logger: s.logger})
	return err
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

func (a *Agent) newPage(s *settings) (*page.Exporter, error) {
	c := s.page
	if c.Goroutines == nil {
		c.Goroutines = a.detector.Report
	}
	if c.NoSpans == nil {
		c.NoSpans = a.spans.none.Load
	}
	c.Resolution = cmp.Or(c.Resolution, min(max(s.interval, time.Second), engine.MaxInterval)) // engine.New reports a longer interval
	c.MaxViewers = cmp.Or(c.MaxViewers, viewerLimit(connectionLimit(fileLimit())))
	c.Profiler = cmp.Or(c.Profiler, a.profiler)
	if a.evidence != nil && c.Bundles == nil && c.Capture == nil {
		c.Bundles, c.Capture = a.evidence, a.evidence.Capture
	}
	e, err := page.New(c)
	return e, about("WithPage", err)
}

// newFluentd makes the Fluentd exporter and its spool.
func newFluentd(s *settings, service string) (*spool.Exporter, error) {
	c := s.fluentd
	c.Tag = cmp.Or(c.Tag, defaultTag)
	c.Service = cmp.Or(c.Service, service)
	e, err := fluentd.New(c)
	if err != nil {
		return nil, about("GMPULSE_FLUENTD* or WithFluentd", err)
	}
	q := s.spool
	q.Name, q.Logger = "fluentd", s.logger
	x, err := spool.New(e, q)
	return x, about("GMPULSE_SPOOL_* or WithSpool", err)
}
