package agent

import (
	"time"

	"go.opentelemetry.io/otel"

	"github.com/gmpulse/gmpulse/agent/engine"
	"github.com/gmpulse/gmpulse/runtimeinfo"
	"github.com/gmpulse/gmpulse/tracectx"
)

// globalSpans watches the spans of the global TracerProvider. Applications set
// it at any time, often after Start, and OpenTelemetry has no hook for that: so
// each tick looks whether there is a new one.
type globalSpans struct {
	processor *tracectx.Processor
	events    events  // of the recorder
	exact     exacter // nil without a recorder that can
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

func (g *globalSpans) attach() { g.processor.Attach(otel.GetTracerProvider()) }
