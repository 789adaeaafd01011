// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"log/slog"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

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

// WrapTracerProvider shows the agent every request, also those that the sampler
// drops, see [tracectx.Processor.WrapTracerProvider]:
//
//	otel.SetTracerProvider(a.WrapTracerProvider(tp))
//
// A disabled agent returns tp.
func (a *Agent) WrapTracerProvider(tp trace.TracerProvider) trace.TracerProvider {
	if a.engine == nil {
		return tp
	}
	return a.processor.WrapTracerProvider(tp)
}

// LogHandler adds to the application's own logs what they have in common with
// traces and metrics, see [tracectx.NewLogHandler]:
//
//	slog.SetDefault(slog.New(a.LogHandler(slog.NewJSONHandler(os.Stderr, nil))))
//
// A disabled agent returns next.
func (a *Agent) LogHandler(next slog.Handler) slog.Handler {
	if a.engine == nil {
		return next
	}
	return tracectx.NewLogHandler(next, a.history)
}
