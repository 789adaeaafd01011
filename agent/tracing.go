package agent

import (
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/gmpulse/gmpulse/tracectx"
)

// WrapExporter returns an exporter that adds to spans what the process went
// through while they ran, see [tracectx.WrapExporter]:
//
//	sdktrace.NewTracerProvider(sdktrace.WithBatcher(a.WrapExporter(otlpExporter)))
//
// A disabled agent, and one with GMPULSE_ENRICH=off, returns next.
func (a *Agent) WrapExporter(next sdktrace.SpanExporter) sdktrace.SpanExporter {
	return tracectx.WrapExporter(next, a.enrich)
}

// WrapProcessor is [Agent.WrapExporter] for a span processor, see
// [tracectx.WrapProcessor].
func (a *Agent) WrapProcessor(next sdktrace.SpanProcessor) sdktrace.SpanProcessor {
	return tracectx.WrapProcessor(next, a.enrich)
}
