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
// it at any time, often after Start, and OpenTelemetry has no hook for that: so
// each tick looks whether there is a new one.
type globalSpans struct {
	processor *tracectx.Processor
	logger    *slog.Logger
	attaching guard.Question[bool]
	broken    atomic.Bool // attaching has panicked
	events    events      // of the recorder
	exact     exacter     // nil without a recorder that can
}

var _ engine.SpanSource = (*globalSpans)(nil)

// Observe attaches to the provider of the moment, if it can be attached to, and
// tells of the active spans.
func (g *globalSpans) Observe(now time.Time) runtimeinfo.SpanActivity {
	g.attach()
	activity := g.processor.Observe(now)
	if g.exact != nil {
		activity.Exact = g.exact.Exact()
	}
	activity.Events = append(activity.Events, g.events.take(now)...)
	return activity
}

// attach attaches to the provider of the moment. The provider is foreign code: it may
// hold a lock for long, and panic.
func (g *globalSpans) attach() {
	if g.broken.Load() {
		return
	}
	_, err := g.attaching.Ask(attachWait, func() bool { return g.processor.Attach(otel.GetTracerProvider()) })
	if p := guard.Panicked(err); p != nil {
		g.broken.Store(true)
		g.logger.Error("gmpulse: the TracerProvider panicked when a span processor was registered; its spans are not seen",
			slog.Any("error", err), slog.String("stack", string(p.Stack)))
	}
}

// attachWait is how long Start, and a tick, wait for the provider.
const attachWait = 50 * time.Millisecond
