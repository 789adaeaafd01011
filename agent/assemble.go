package agent

import (
	"fmt"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/gmpulse/gmpulse/agent/engine"
	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/fluentd"
	"github.com/gmpulse/gmpulse/exporters/page"
	"github.com/gmpulse/gmpulse/exporters/prom"
	"github.com/gmpulse/gmpulse/exporters/spool"
	"github.com/gmpulse/gmpulse/runtimeinfo"
	"github.com/gmpulse/gmpulse/runtimeinfo/baseline"
	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines"
	"github.com/gmpulse/gmpulse/tracectx"
)

// assemble makes the engine with everything that the settings ask for, and
// returns what there is to serve.
func (a *Agent) assemble(s *settings, resource []runtimeinfo.Attr) (pages, error) {
	a.history = runtimeinfo.NewHistory(0)
	if !s.noEnrichment {
		a.enrich.History = a.history
	}
	p, err := tracectx.New(tracectx.Config{NoLabels: s.noLabels, History: a.enrich.History})
	if err != nil {
		return pages{}, err
	}
	a.processor = p
	a.detective = newDetective(s, p)
	if a.evidence, err = a.newEvidence(s); err != nil {
		return pages{}, err
	}
	a.spans = &globalSpans{processor: p, logger: s.logger}
	a.spans.attach() // now, for spans that start before the first tick
	onFirstProvider(a.attachFirst)
	metrics, err := prom.New(prom.Config{})
	if err != nil {
		return pages{}, fmt.Errorf("agent: %w", err)
	}
	live, err := a.newPage(s)
	if err != nil {
		return pages{}, err
	}
	opts := []engine.Option{
		engine.WithInterval(s.interval),
		engine.WithHostInterval(s.hostInterval),
		engine.WithLogger(s.logger),
		engine.WithResource(resource...),
		engine.WithHistory(a.history),
		engine.WithSpans(a.spans),
		engine.WithDetective(a.detective),
		engine.WithExporter("prometheus", metrics),
		engine.WithExporter("page", live),
	}
	if !s.noBaselines {
		if a.baselines, err = newBaselines(s); err != nil {
			return pages{}, err
		}
		opts = append(opts, engine.WithBaselines(a.baselines))
	}
	if s.fluentd.URL != "" {
		stream, err := newStream(s, a.service)
		if err != nil {
			return pages{}, err
		}
		opts = append(opts, engine.WithExporter("fluentd", stream))
	}
	if a.evidence != nil {
		opts = append(opts, engine.WithExporter("evidence", a.evidence))
	}
	for _, x := range s.exporters {
		opts = append(opts, engine.WithExporter(x.name, x.exporter))
	}
	a.engine, err = engine.New(opts...)
	return pages{metrics: metrics.Handler(), live: live.Handler()}, err
}

// attachFirst attaches to the provider that the application makes global first, while
// the agent runs: to the SDK's. Another kind may block the application meanwhile, so
// that one is left to the next tick.
func (a *Agent) attachFirst(tp trace.TracerProvider) {
	if sdk, ok := tp.(*sdktrace.TracerProvider); ok && !a.stopping.Load() {
		a.processor.Attach(sdk)
	}
}

func newDetective(s *settings, p *tracectx.Processor) *goroutines.Detective {
	c := goroutines.DetectiveConfig{
		Survey:  goroutines.Config{RootLabel: tracectx.RootLabel, EpochLabel: tracectx.EpochLabel, AgentLabel: engine.ProfilerLabel},
		Origins: p,
		Logger:  s.logger,
	}
	if s.recorder != nil {
		c.RollCaller = s.recorder
	}
	return goroutines.NewDetective(c)
}

func newBaselines(s *settings) (*baseline.Watch, error) {
	c := s.baselines
	if c.Logger == nil {
		c.Logger = s.logger
	}
	w, err := baseline.New(c)
	if err != nil {
		return nil, fmt.Errorf("agent: %w", err)
	}
	return w, nil
}

func (a *Agent) newPage(s *settings) (*page.Exporter, error) {
	c := s.page
	if c.Goroutines == nil {
		c.Goroutines = a.detective.Report
	}
	if c.NoSpans == nil {
		c.NoSpans = a.spans.none.Load
	}
	if c.Resolution == 0 {
		c.Resolution = max(s.interval, time.Second)
	}
	if a.evidence != nil && c.Bundles == nil && c.Capture == nil {
		c.Bundles, c.Capture = a.evidence, a.evidence.Capture
	}
	e, err := page.New(c)
	if err != nil {
		return nil, fmt.Errorf("agent: GMPULSE_TRACE_URL or WithPage: %w", err)
	}
	return e, nil
}

// newStream makes the exporter to Fluentd behind its spool.
func newStream(s *settings, service string) (exporters.Exporter, error) {
	c := s.fluentd
	if c.Tag == "" {
		c.Tag = "gmpulse"
	}
	if c.Service == "" {
		c.Service = service
	}
	e, err := fluentd.New(c)
	if err != nil {
		return nil, fmt.Errorf("agent: GMPULSE_FLUENTD or WithFluentd: %w", err)
	}
	q := s.spool
	q.Name, q.Logger = "fluentd", s.logger
	x, err := spool.New(e, q)
	if err != nil {
		return nil, fmt.Errorf("agent: GMPULSE_SPOOL_DIR or WithSpool: %w", err)
	}
	return x, nil
}
