// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"log/slog"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel"

	"github.com/gmpulse/gmpulse/agent/engine"
	"github.com/gmpulse/gmpulse/internal/guard"
	"github.com/gmpulse/gmpulse/runtimeinfo"
	"github.com/gmpulse/gmpulse/tracectx"
)

// globalSpans watches the spans of the global TracerProvider. Applications set
// it at any time, often after Start: the first is known at once (onFirstProvider), and
// each tick looks whether there is another.
type globalSpans struct {
	processor *tracectx.Processor
	logger    *slog.Logger
	attaching guard.Poller[bool]
	broken    atomic.Bool // attaching has panicked

	begin time.Time   // of observing
	none  atomic.Bool // noSpansAfter has passed, and no span was seen
	told  bool
}

// noSpansAfter is how long a program may take to set a provider or to begin a span
// before the agent says that it sees none.
const noSpansAfter = time.Minute

var _ engine.Analyzer = (*globalSpans)(nil)

// Metrics returns the metrics of the processor.
func (g *globalSpans) Metrics() []*runtimeinfo.Metric { return g.processor.Metrics() }

// Analyze attaches to the current provider, if that is possible, and adds the spans.
func (g *globalSpans) Analyze(d *runtimeinfo.Draft) {
	g.attach()
	g.processor.Analyze(d)
	g.notice(d.Snapshot().Time)
}

// notice takes note of whether spans are seen at all, and logs it once if not.
func (g *globalSpans) notice(now time.Time) {
	if g.begin.IsZero() {
		g.begin = now
	}
	none := now.Sub(g.begin) >= noSpansAfter && !g.processor.Attached()
	g.none.Store(none)
	if none && !g.told {
		g.told = true
		g.logger.Info("gmpulse: no spans seen: the program has set no TracerProvider of the OpenTelemetry SDK. Leaks are found without them, but not under which requests; wrap the handler with Agent.Middleware and jobs with Agent.Do, or set a provider (docs/spans.md)")
	}
}

// attach attaches to the provider of the moment. The provider is foreign code: it may
// hold a lock for long, and panic.
func (g *globalSpans) attach() {
	if g.broken.Load() {
		return
	}
	_, err := g.attaching.Poll(attachWait, func() bool { return g.processor.Attach(otel.GetTracerProvider()) })
	if p := guard.Panicked(err); p != nil {
		g.broken.Store(true)
		g.logger.Error("gmpulse: the TracerProvider panicked when a span processor was registered; its spans are not seen",
			slog.Any("error", err), slog.String("stack", string(p.Stack)))
	}
}

// attachWait is how long Start, and a tick, wait for the provider.
const attachWait = 50 * time.Millisecond
