// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"log/slog"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/gmpulse/gmpulse/tracectx"
)

// WrapExporter returns an exporter that adds the state of the process to each span, see
// [tracectx.WrapExporter]:
//
//	sdktrace.NewTracerProvider(sdktrace.WithBatcher(a.WrapExporter(otlpExporter)))
//
// It returns next if the agent is disabled or enrichment is off.
func (a *Agent) WrapExporter(next sdktrace.SpanExporter) sdktrace.SpanExporter {
	return tracectx.WrapExporter(next, a.enrich)
}

// WrapProcessor is like [Agent.WrapExporter] for a span processor, see
// [tracectx.WrapProcessor].
func (a *Agent) WrapProcessor(next sdktrace.SpanProcessor) sdktrace.SpanProcessor {
	return tracectx.WrapProcessor(next, a.enrich)
}

// WrapTracerProvider returns a provider that reports every span to the agent, including
// those that the sampler drops, see [tracectx.Processor.WrapTracerProvider]:
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

// LogHandler returns a handler that adds the trace and the state of the process to each log
// record, see [tracectx.NewLogHandler]:
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
