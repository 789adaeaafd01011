// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"log/slog"
	"reflect"
	"strings"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/trace"

	"github.com/gmpulse/gmpulse/agent/engine"
	"github.com/gmpulse/gmpulse/internal/guard"
	"github.com/gmpulse/gmpulse/runtimeinfo"
	"github.com/gmpulse/gmpulse/tracectx"
)

// globalSpans reads the spans of the global TracerProvider. Applications often set it after
// Start. onFirstProvider finds the first one immediately; each tick checks for another.
type globalSpans struct {
	processor *tracectx.Processor
	logger    *slog.Logger
	attaching guard.Poller[trace.TracerProvider] // the result is the provider that it tried
	broken    atomic.Bool                        // attaching has panicked
	current   trace.TracerProvider               // at the last attempt to attach; nil if it is not comparable
	attempt   time.Time                          // the last one

	service  string // service.name of the agent
	compared bool   // the service.name of the spans is known

	begin  time.Time   // time of the first tick
	none   atomic.Bool // noSpansAfter has passed without a span
	logged bool        // the absence of spans
}

// noSpansAfter is how long the agent waits for a provider or a span before it logs that there
// is none.
const noSpansAfter = time.Minute

var _ engine.Analyzer = (*globalSpans)(nil)

// Metrics returns the metrics of the processor.
func (g *globalSpans) Metrics() []*runtimeinfo.Metric { return g.processor.Metrics() }

// Analyze attaches to the current provider and adds the spans.
func (g *globalSpans) Analyze(d *runtimeinfo.Draft) {
	g.attach()
	g.processor.Analyze(d)
	g.checkNone(d.Snapshot().Time)
	g.compareService()
}

// compareService logs a warning if the first span has another service.name than the agent. A provider
// without a configured name is no reason for one.
func (g *globalSpans) compareService() {
	if g.compared {
		return
	}
	r := g.processor.Resource()
	if r == nil {
		return
	}
	g.compared = true
	if name := serviceName(r); name != "" && name != g.service && !strings.HasPrefix(name, "unknown_service") {
		g.logger.Warn("gmpulse: spans have another service.name than the agent, so no backend relates them to its metrics: start the agent with agent.WithResource(...) of the TracerProvider's resource, or set OTEL_SERVICE_NAME for both",
			slog.String("spans", name), slog.String("agent", g.service))
	}
}

// checkNone sets g.none and logs a line the first time that it becomes true.
func (g *globalSpans) checkNone(now time.Time) {
	if g.begin.IsZero() {
		g.begin = now
	}
	none := now.Sub(g.begin) >= noSpansAfter && !g.processor.Attached()
	g.none.Store(none)
	if none && !g.logged {
		g.logged = true
		g.logger.Info("gmpulse: no spans seen: the program has set no TracerProvider of the OpenTelemetry SDK, so leaks are not attributed to requests; set a provider, or wrap the handler with Agent.Middleware and jobs with Agent.Do (docs/spans.md)")
	}
}

// attach attaches to the current global provider, which may hold a lock for long or panic. It does
// nothing if the provider is still the same, except once a minute: an attempt fails while too many
// providers are attached, and it costs a goroutine.
func (g *globalSpans) attach() {
	if g.broken.Load() {
		return
	}
	now, provider := time.Now(), otel.GetTracerProvider()
	if isComparable(provider) && provider == g.current && now.Sub(g.attempt) < attachInterval {
		return
	}
	tried, err := g.attaching.Poll(attachWait, func() trace.TracerProvider { // may be of an earlier tick
		g.processor.Attach(provider)
		return provider
	})
	g.current, g.attempt = nil, now
	if err == nil && isComparable(tried) {
		g.current = tried
	}
	if p := guard.Panicked(err); p != nil {
		g.broken.Store(true)
		g.logger.Error("gmpulse: the TracerProvider panicked when the agent registered its span processor; the agent does not see its spans",
			slog.Any("error", err), slog.String("stack", string(p.Stack)))
	}
}

func isComparable(p trace.TracerProvider) bool { return reflect.ValueOf(p).Comparable() }

// attachInterval is the time between two attempts to attach to the same provider.
const attachInterval = time.Minute

// attachWait is how long Start and each tick wait for the provider.
const attachWait = 50 * time.Millisecond
