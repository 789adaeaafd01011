// SPDX-License-Identifier: Apache-2.0

// Package agent watches a Go service from inside. One line starts it:
//
//	a, err := agent.Start()
//
// and one ends it, where the program has caught SIGTERM, see the example of [Start]:
//
//	err = a.Stop(ctx)
//
// In between it samples the scheduler, memory, process, container and host
// each second, ties the samples to the OpenTelemetry spans that are active, and
// serves them at http://127.0.0.1:9464/metrics for Prometheus. It groups the
// goroutines, records execution traces for a few seconds while a group is suspicious,
// and reports the groups that leak or hang, see [Agent.Goroutines]. The environment
// adds a stream to Fluentd, whose records wait on disk if they are to outlive the
// process, and moves or closes the listener, see [Variables]; options do the same
// in code and overrule it.
//
// Spans are seen as soon as the application has set a global TracerProvider of
// the OpenTelemetry SDK, before or after Start. Where it keeps its provider to
// itself, register [Agent.SpanProcessor] with it. A program without spans wraps its
// HTTP handler with [Agent.Middleware] and its jobs with [Agent.Do].
//
// Package agent links the clients of Prometheus and Fluentd. A program that
// cannot afford that (fluent-logger-golang registers a msgpack extension when it
// is initialised, which panics beside another library that does the same)
// assembles what it needs with package engine.
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

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/gmpulse/gmpulse/agent/engine"
	"github.com/gmpulse/gmpulse/exporters/evidence"
	"github.com/gmpulse/gmpulse/internal/guard"
	"github.com/gmpulse/gmpulse/internal/redact"
	"github.com/gmpulse/gmpulse/runtimeinfo"
	"github.com/gmpulse/gmpulse/runtimeinfo/baseline"
	"github.com/gmpulse/gmpulse/runtimeinfo/goroutines"
	"github.com/gmpulse/gmpulse/tracectx"
)

// running guards against two agents in one process: they would double every
// series and every record.
var running atomic.Bool //nolint:gochecknoglobals // the process is what there may be one of

// Agent is a running agent. Make one with [Start]. All methods may be called
// from any goroutine.
type Agent struct {
	service   string
	logger    *slog.Logger
	engine    *engine.Engine // nil when it does nothing
	processor *tracectx.Processor
	history   *tracectx.History
	enrich    tracectx.Enrichment  // zero when off
	spans     *globalSpans         // nil when it does nothing
	detector  *goroutines.Detector // nil when it does nothing
	baselines *baseline.Watch      // nil when off
	evidence  *evidence.Store      // nil when off
	handler   http.Handler
	server    *server // nil when off
	dirCheck  *dirCheck
	failure   error // why it did not start, nil if it did or was not to

	stopping atomic.Bool
	stopped  chan struct{} // closed when the agent has stopped
	stopErr  error         // set before stopped is closed
}

// Start starts the agent and returns at once: it opens no connection and waits for
// nothing. It returns an error on misconfiguration, and if an agent runs in this process
// already, but never because a backend cannot be reached. The error joins all problems.
// A malformed value of an environment variable that is [Variable.Optional] is only logged
// as a warning, and the default is used.
//
// With GMPULSE_DISABLED=true, and with OTEL_SDK_DISABLED=true, it returns an agent that
// does nothing. It returns such an agent with an error, too: a service may log the error
// and run without the agent.
func Start(opts ...Option) (*Agent, error) {
	s := fromEnvironment(os.Getenv)
	for _, o := range opts {
		if o != nil {
			o(&s)
		}
	}
	s.logger = guard.Logger(s.logger)
	s.warnOfPointless()
	for _, w := range s.warnings {
		s.logger.LogAttrs(context.Background(), slog.LevelWarn, w.message, w.attrs...) //nolint:sloglint // one of the messages in environment.go
	}
	if names := unread(os.Environ()); len(names) > 0 {
		s.logger.Warn("gmpulse: environment variables that nothing reads; docs/configuration.md lists those that are read", slog.Any("names", names))
	}
	if s.disabledBy != "" {
		s.logger.Info("gmpulse: disabled", slog.String("by", s.disabledBy))
		return idle(&s, nil)
	}
	if !running.CompareAndSwap(false, true) {
		return idle(&s, errors.New("agent: an agent runs in this process already; keep the one that Start returned, or Stop it first"))
	}
	a, err := start(&s)
	if err != nil {
		running.Store(false)
		return idle(&s, err)
	}
	return a, nil
}

// idle returns an agent that does nothing, and why.
func idle(s *settings, why error) (*Agent, error) {
	p, err := tracectx.New(tracectx.Config{})
	if err != nil {
		return nil, err // which it does not: the configuration is empty
	}
	a := &Agent{logger: s.logger, processor: p, failure: why}
	a.handler = newHandler(a, pages{metrics: http.NotFoundHandler(), live: http.NotFoundHandler()})
	return a, errors.Join(why, p.Shutdown(context.Background()))
}

func start(s *settings) (*Agent, error) {
	resource := describe(s.service, s.resource)
	a := &Agent{service: resource[0].Value, logger: s.logger, stopped: make(chan struct{})}
	if err := a.begin(s, resource); err != nil {
		a.stopping.Store(true)
		if a.processor != nil { // an agent that did not start leaves no trace
			var q guard.Poller[bool]
			_, _ = q.Poll(attachWait, func() bool { a.processor.Detach(); return true }) // err is why it did not start
		}
		return nil, err
	}
	a.announce(s)
	return a, nil
}

// begin assembles the agent, listens, and starts to sample.
func (a *Agent) begin(s *settings, resource []runtimeinfo.Attr) error {
	p, err := a.assemble(s, resource)
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
	keepSlow(s.recorder, a.evidence)
	if s.evidence != nil && s.evidence.Dir != "" {
		a.dirCheck = checkDir(s.evidence.Dir, a.logger)
	}
	return a.engine.Start(context.Background()) // which does not fail: it is new
}

// announce logs the effective configuration, once.
func (a *Agent) announce(s *settings) {
	attrs := []slog.Attr{slog.String("service", a.service), slog.Duration("interval", a.engine.Stats().Interval)}
	if a.server != nil {
		attrs = append(attrs, slog.String("page", a.server.url(pagePath)), slog.String("metrics", a.server.url("/metrics")), slog.String("health", a.server.url("/healthz")))
	}
	if s.fluentd.URL != "" {
		attrs = append(attrs, slog.String("fluentd", redact.URL(s.fluentd.URL)), slog.String("fluentd_tag", s.fluentd.Tag), slog.String("spool", spoolPlace(s)))
	}
	a.logger.LogAttrs(context.Background(), slog.LevelInfo, "gmpulse: started", attrs...)
}

func spoolPlace(s *settings) string {
	if s.spool.Dir == "" {
		return "memory"
	}
	return s.spool.Dir
}

// Stop takes a last sample, delivers it, shuts the exporters and the listener
// down and leaves the TracerProvider. It returns by the deadline of ctx, 20 ms later at
// the most, with what kept it, whatever exporters and log handlers do. Calling it again waits for the same end and returns the same error.
func (a *Agent) Stop(ctx context.Context) error {
	if a.engine == nil {
		return nil
	}
	if a.stopping.CompareAndSwap(false, true) {
		go func() { // waited for below: a log handler that hangs must not keep the caller
			a.stopErr = a.stop(ctx)
			a.logStopped() //nolint:contextcheck // a log line needs none
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

// Shutdown is [Agent.Stop] under the name that the providers of OpenTelemetry use.
func (a *Agent) Shutdown(ctx context.Context) error { return a.Stop(ctx) }

// stopGrace is how long Stop waits, beyond its deadline, for the account of the end:
// everything that it waits for has the same deadline.
const stopGrace = 20 * time.Millisecond

// late returns the error of a Stop whose deadline is over.
func (a *Agent) late(ctx context.Context) error {
	t := time.NewTimer(stopGrace)
	defer t.Stop()
	select {
	case <-a.stopped: // both at once: the end is what counts
		return a.stopErr
	case <-t.C:
		return fmt.Errorf("agent: stop: %w", context.Cause(ctx))
	}
}

// stop is the work of the first Stop.
func (a *Agent) stop(ctx context.Context) error {
	errs := []error{a.engine.Stop(ctx), a.dirCheck.wait(ctx)}
	if a.server != nil {
		errs = append(errs, a.server.shutdown(ctx))
	}
	done := make(chan struct{})
	var failed error
	go func() { // detaching may wait for a lock of the provider
		defer close(done)
		failed = guard.Do(func() error {
			a.processor.Detach()
			return nil
		})
	}()
	select {
	case <-done:
		errs = append(errs, failed)
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

// Handler serves /metrics, /healthz, the live page at /debug/gmpulse/, and an
// index of them. It works without the agent's own listener too: mount it at
// /debug/gmpulse/ of your own mux for the page alone, or anywhere with http.StripPrefix
// for all of it. Its answers contain the names of functions and spans, so it requires the
// token of [Access]. Without a token it answers only requests from this machine, and logs
// the first that it refuses.
func (a *Agent) Handler() http.Handler { return a.handler }

// URL returns the address of the agent's own server, or "" when it is off.
func (a *Agent) URL() string {
	if a.server == nil {
		return ""
	}
	return a.server.url("/")
}

// SpanProcessor returns the processor that tells the agent of spans, for a
// TracerProvider that is not the global one:
//
//	sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(a.SpanProcessor()), ...)
func (a *Agent) SpanProcessor() sdktrace.SpanProcessor { return a.processor }

// Snapshot returns the newest snapshot, or nil before the first or when disabled.
func (a *Agent) Snapshot() *runtimeinfo.Snapshot {
	if a.engine == nil {
		return nil
	}
	return a.engine.Snapshot()
}

// Goroutines returns the last survey of all goroutines in groups and the current verdicts,
// worst first. It is empty before the first survey and when disabled.
func (a *Agent) Goroutines() goroutines.Report {
	if a.detector == nil {
		return goroutines.Report{}
	}
	return a.detector.Report()
}

// Anomalies returns the bands of the signals that are beyond what is normal now,
// in no order; none when baselines are off.
func (a *Agent) Anomalies() []runtimeinfo.Band {
	s := a.Snapshot()
	if s == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(s.Bands), func(b runtimeinfo.Band) bool { return b.Since.IsZero() })
}

// Stats returns the agent's account of itself, zero when disabled.
func (a *Agent) Stats() engine.Stats {
	if a.engine == nil {
		return engine.Stats{}
	}
	return a.engine.Stats()
}

// Gauge adds a number of the application, see [engine.Engine.Gauge]. A disabled agent
// returns nil and never calls f. An agent that did not start returns the error of Start.
func (a *Agent) Gauge(name, unit, help string, f func() float64) error {
	if a.engine == nil {
		if a.failure != nil {
			return fmt.Errorf("agent: the gauge %s is not published, because the agent did not start: %w", name, a.failure)
		}
		return nil
	}
	return a.engine.Gauge(name, unit, help, f)
}
