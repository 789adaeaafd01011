// SPDX-License-Identifier: Apache-2.0

// Package agent provides runtime telemetry of a Go service from within its process.
//
//	a, err := agent.Start()
//	...
//	err = a.Stop(ctx) // at the end of the program
//
// The agent samples the scheduler, memory, process, container and host every second,
// associates the samples with the active OpenTelemetry spans, and serves them at
// http://127.0.0.1:9464/metrics for Prometheus and on a live page. It groups the goroutines
// by where they wait, and reports the groups that leak or hang, see [Agent.Goroutines]. It
// learns the expected range of each signal and reports anomalies, see [Agent.Anomalies].
//
// The example of [Start] shows a program that stops the agent on SIGTERM.
//
// # Spans
//
// The agent finds the spans of the global TracerProvider if that is the OpenTelemetry
// SDK's, whether the application sets it before or after Start. For another TracerProvider,
// register [Agent.SpanProcessor]. A program without OpenTelemetry wraps its HTTP handler
// with [Agent.Middleware] and its jobs with [Agent.Do].
//
// # Configuration
//
// Start reads environment variables, which docs/configuration.md lists. Each has an option
// of the same meaning. Options override the environment.
//
// # Switching parts off
//
// The variable of a part that can be off accepts off, false or 0 to switch it off. The
// option of such a part switches it off with the zero value of its argument: false, nil or an
// empty Config. Only [WithListen] takes "off", because an empty address means the default.
// [WithEnabled] switches the whole agent off.
//
// # Cost
//
// In an otherwise idle process, the agent with all its parts uses 0.07 % of a core at
// the default interval. docs/cost.md lists the cost of each part.
//
// # Dependencies
//
// Package agent links the clients of Prometheus and Fluentd. fluent-logger-golang registers
// a msgpack extension when it is initialized, which panics if another library registers the
// same extension. A program that must not link these clients uses package engine.
package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/gmpulse/gmpulse/agent/engine"
	"github.com/gmpulse/gmpulse/exporters/evidence"
	"github.com/gmpulse/gmpulse/internal/guard"
	"github.com/gmpulse/gmpulse/internal/redact"
	"github.com/gmpulse/gmpulse/runtimeinfo"
	"github.com/gmpulse/gmpulse/runtimeinfo/baseline"
	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines"
	"github.com/gmpulse/gmpulse/runtimeinfo/profiler"
	"github.com/gmpulse/gmpulse/tracectx"
)

// running reports whether the process has a running agent. Two agents would publish every
// series and every record twice.
var running atomic.Bool //nolint:gochecknoglobals // it is a property of the process

// Agent is an agent that [Start] returned. Its methods are safe for concurrent use. They do
// no harm if the agent is disabled, did not start, or has stopped.
type Agent struct {
	resource  *resource.Resource
	service   string
	logger    *slog.Logger
	engine    *engine.Engine // nil if the agent is disabled or did not start
	processor *tracectx.Processor
	history   *tracectx.History
	profiler  *profiler.Profiler   // nil if it is off
	enrich    tracectx.Enrichment  // zero when off
	spans     *globalSpans         // nil like engine
	detector  *goroutines.Detector // nil like engine
	baselines *baseline.Watch      // nil when off
	evidence  *evidence.Store      // nil when off
	handler   http.Handler
	server    *server // nil when off
	failure   error   // the error of Start

	stopping atomic.Bool
	stopped  chan struct{} // closed when the agent has stopped
	stopErr  error         // set before stopped is closed
}

// Start starts the agent. It does not wait for the first sample and opens no connection.
//
// Start returns an error if the configuration is invalid, or if an agent runs in this
// process already, but not because a backend is unreachable. The error joins all problems.
// For a malformed environment variable that cannot open a port or lose data, Start only logs
// a warning and uses the default.
//
// Start never returns a nil Agent. With an error, or if the agent is disabled, it returns an
// agent that does nothing, so that a service can log the error and run without the agent.
func Start(opts ...Option) (*Agent, error) {
	s := fromEnvironment(os.Getenv)
	for _, o := range opts {
		if o != nil {
			o(&s)
		}
	}
	s.logger = guard.Logger(s.logger)
	s.warnUnused()
	for _, w := range s.warnings {
		s.logger.LogAttrs(context.Background(), slog.LevelWarn, w.message, w.attrs...) //nolint:sloglint // the messages are constants in settings.go and environment.go
	}
	if names := unread(os.Environ()); len(names) > 0 {
		s.logger.Warn("gmpulse: unknown environment variables; docs/configuration.md lists the known ones", slog.Any("names", names))
	}
	if s.disabledBy != "" {
		s.logger.Info("gmpulse: disabled", slog.String("by", s.disabledBy))
		return idle(&s, nil)
	}
	if !running.CompareAndSwap(false, true) {
		return idle(&s, errors.New("agent: an agent runs in this process already; use that one, or stop it first"))
	}
	a, err := start(&s)
	if err != nil {
		running.Store(false)
		return idle(&s, err)
	}
	return a, nil
}

// idle returns an agent that does nothing, and why, which is the error of Start or nil.
func idle(s *settings, why error) (*Agent, error) {
	p, err := tracectx.New(tracectx.Config{})
	if err != nil {
		return nil, err // impossible: the configuration is empty
	}
	a := &Agent{resource: describe(s.resource), logger: s.logger, processor: p, failure: why}
	a.handler = newHandler(a, pages{metrics: http.NotFoundHandler(), live: http.NotFoundHandler()})
	return a, errors.Join(why, p.Shutdown(context.Background()))
}

func start(s *settings) (*Agent, error) {
	r := describe(s.resource)
	a := &Agent{resource: r, service: serviceName(r), logger: s.logger, stopped: make(chan struct{})}
	if err := a.begin(s, attributesOf(r)); err != nil {
		a.stopping.Store(true)
		if a.processor != nil {
			var q guard.Poller[bool]
			_, _ = q.Poll(attachWait, func() bool { a.processor.Detach(); return true }) // the caller gets err
		}
		return nil, err
	}
	a.announce(s)
	return a, nil
}

// begin assembles the agent, opens its listener and starts its engine.
func (a *Agent) begin(s *settings, attrs []runtimeinfo.Attr) error {
	p, err := a.assemble(s, attrs)
	if err != nil {
		return err
	}
	h := newHandler(a, p)
	a.handler = s.access.protect(h, a.logger)
	if s.listen != "" {
		l, err := listen(s)
		if err != nil {
			return err
		}
		a.server = serve(l, s.access.guard(l.Addr(), h), a.logger)
	}
	if err := s.metrics.Check(a.engine.Metrics()); err != nil {
		a.logger.Warn("gmpulse: WithMetrics or GMPULSE_METRICS has an entry without effect, unless the application adds such a metric", slog.Any("error", err))
	}
	keepSlow(s.recorder, a.evidence)
	return a.engine.Start(context.Background()) // nil, because the engine is new
}

// announce logs the effective configuration.
func (a *Agent) announce(s *settings) {
	attrs := []slog.Attr{slog.String("service", a.service), slog.Duration("interval", a.engine.Stats().Interval)}
	if a.server != nil {
		attrs = append(attrs, slog.String("page", a.server.url(pagePath)), slog.String("metrics", a.server.url("/metrics")), slog.String("health", a.server.url("/healthz")))
	}
	if s.fluentd.URL != "" {
		attrs = append(attrs, slog.String("fluentd", redact.URL(s.fluentd.URL)), slog.String("fluentd_tag", s.fluentd.Tag), slog.Duration("fluentd_interval", a.intervalOf("fluentd")), slog.String("spool", spoolPlace(s)))
	}
	a.logger.LogAttrs(context.Background(), slog.LevelInfo, "gmpulse: started", append(attrs, s.receivers()...)...)
}

// intervalOf returns the time between two calls of an exporter.
func (a *Agent) intervalOf(exporter string) time.Duration {
	for _, x := range a.engine.Stats().Exporters {
		if x.Name == exporter {
			return x.Interval
		}
	}
	return 0
}

func spoolPlace(s *settings) string {
	if s.spool.Dir == "" {
		return "memory"
	}
	return s.spool.Dir
}

// Stop takes a last sample, delivers it, shuts down the exporters and the server, and
// detaches from the TracerProvider.
//
// Stop returns at most 20 ms after the deadline of ctx, even if an exporter or a log handler
// hangs; the error then names what is still busy. Further calls wait for the same shutdown
// and return its error.
func (a *Agent) Stop(ctx context.Context) error {
	if a.engine == nil {
		return nil
	}
	if a.stopping.CompareAndSwap(false, true) {
		go func() { // on a goroutine, because a log handler may hang
			a.stopErr = a.stop(ctx)
			a.logStopped() //nolint:contextcheck // a log line needs no context
			running.Store(false)
			close(a.stopped)
		}()
	}
	select {
	case <-a.stopped:
		return a.stopErr
	case <-ctx.Done():
	}
	return a.late(ctx)
}

// Shutdown calls [Agent.Stop]. It has the name that OpenTelemetry uses.
func (a *Agent) Shutdown(ctx context.Context) error { return a.Stop(ctx) }

// stopGrace is how long Stop waits after its deadline for stop to return. Everything that
// stop waits for has the same deadline, so it usually returns then with a better error.
const stopGrace = 20 * time.Millisecond

// late returns the error of Stop after its deadline.
func (a *Agent) late(ctx context.Context) error {
	t := time.NewTimer(stopGrace)
	defer t.Stop()
	select {
	case <-a.stopped:
		return a.stopErr
	case <-t.C:
		return fmt.Errorf("agent: stop: %w", context.Cause(ctx))
	}
}

// stop does the work of the first call of Stop.
func (a *Agent) stop(ctx context.Context) error {
	errs := []error{a.engine.Stop(ctx)}
	if a.server != nil {
		errs = append(errs, a.server.shutdown(ctx))
	}
	done := make(chan error, 1)
	go func() { // on a goroutine, because the provider may hold a lock for long
		done <- guard.Do(func() error {
			a.processor.Detach()
			return nil
		})
	}()
	select {
	case err := <-done:
		errs = append(errs, err)
	case <-ctx.Done():
		errs = append(errs, fmt.Errorf("agent: stop: %w", context.Cause(ctx)))
	}
	return errors.Join(errs...)
}

// logStopped logs the final statistics of every exporter.
func (a *Agent) logStopped() {
	s := a.engine.Stats()
	attrs := []slog.Attr{slog.Uint64("ticks", s.Ticks), slog.Uint64("ticks_missed", s.TicksMissed)}
	for i := range s.Exporters {
		e := &s.Exporters[i]
		attrs = append(attrs, slog.Group(e.Name,
			slog.Uint64("accepted", e.Snapshots.Accepted+e.Events.Accepted),
			slog.Uint64("delivered", e.Snapshots.Delivered+e.Events.Delivered),
			slog.Uint64("dropped", e.Snapshots.Lost()+e.Events.Lost()),
			slog.Uint64("pending", e.Snapshots.Pending+e.Events.Pending)))
	}
	a.logger.LogAttrs(context.Background(), slog.LevelInfo, "gmpulse: stopped", attrs...)
}

// Handler returns a handler for the application's own server. It serves /metrics, /healthz,
// the live page at /debug/gmpulse/ and an index of these. Mount it at /debug/gmpulse/ for the
// page alone, or at any path with [http.StripPrefix] for everything.
//
// Responses contain names of functions and spans, so the handler requires the token of
// [Access]. Without a token it answers only requests from this machine, and logs the first
// request that it refuses. The handler of a disabled agent serves only /healthz and the index.
func (a *Agent) Handler() http.Handler { return a.handler }

// URL returns the address of the agent's server, or "" if the server is off.
func (a *Agent) URL() string {
	if a.server == nil {
		return ""
	}
	return a.server.url("/")
}

// SpanProcessor returns the agent's span processor, for a TracerProvider that is not the
// global one:
//
//	sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(a.SpanProcessor()), ...)
func (a *Agent) SpanProcessor() sdktrace.SpanProcessor { return a.processor }

// Snapshot returns the newest snapshot. It returns nil before the first sample and if the
// agent is disabled. The caller must not change the snapshot.
func (a *Agent) Snapshot() *runtimeinfo.Snapshot {
	if a.engine == nil {
		return nil
	}
	return a.engine.Snapshot()
}

// Goroutines returns the groups of the last goroutine survey and the current verdicts, the
// worst first. The report is empty before the first survey and if the agent is disabled.
func (a *Agent) Goroutines() goroutines.Report {
	if a.detector == nil {
		return goroutines.Report{}
	}
	return a.detector.Report()
}

// Anomalies returns the band of each signal whose value is outside its expected range now,
// in no particular order. There are none if baselines are off.
func (a *Agent) Anomalies() []runtimeinfo.Band {
	s := a.Snapshot()
	if s == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(s.Bands), func(b runtimeinfo.Band) bool { return b.Since.IsZero() })
}

// Stats returns statistics of the agent and its exporters. They are zero if the agent is
// disabled.
func (a *Agent) Stats() engine.Stats {
	if a.engine == nil {
		return engine.Stats{}
	}
	return a.engine.Stats()
}

// Gauge adds a gauge of the application to every snapshot, see [engine.Engine.Gauge]. A
// disabled agent returns nil and never calls f. An agent that did not start returns the
// error of Start.
func (a *Agent) Gauge(name, unit, help string, f func() float64) error {
	if a.engine == nil {
		if a.failure != nil {
			return fmt.Errorf("agent: gauge %s is not published, because the agent did not start: %w", name, a.failure)
		}
		return nil
	}
	return a.engine.Gauge(name, unit, help, f)
}
