// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/gmpulse/gmpulse/agent"
)

// A span that lasts for several ticks gets attributes of them, a span that the sampler drops is
// in the snapshot, and a log record has the goroutine count of the last tick.
func TestSpansAndLogsAreEnriched(t *testing.T) {
	a, _ := start(t, agent.WithInterval(10*time.Millisecond))
	out := tracetest.NewInMemoryExporter()
	tp := sdktrace.NewTracerProvider(sdktrace.WithSyncer(a.WrapExporter(out)))
	awaitTicks(t, a, 2)
	_, span := tp.Tracer("").Start(t.Context(), "long")
	awaitTicks(t, a, 5)
	span.End()
	if keys := attributeKeys(out.GetSpans()[0].Attributes); !strings.Contains(keys, "gmpulse.process.during.ticks") || !strings.Contains(keys, "gmpulse.process.at_start.goroutine.count") {
		t.Errorf("attributes %s", keys)
	}

	dropping := a.WrapTracerProvider(sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.NeverSample())))
	_, dropped := dropping.Tracer("").Start(t.Context(), "dropped")
	defer dropped.End()
	awaitTicks(t, a, 2)
	if spans := a.Snapshot().Spans; len(spans) != 1 || spans[0].Name != "dropped" || spans[0].Sampled {
		t.Errorf("active spans: %+v", spans)
	}

	var text strings.Builder
	slog.New(a.LogHandler(slog.NewTextHandler(&text, nil))).Info("hello")
	if !strings.Contains(text.String(), "gmpulse.goroutine.count=") {
		t.Errorf("%q", text.String())
	}
}

func TestEnrichmentOff(t *testing.T) {
	for name, opt := range map[string]func(*testing.T) agent.Option{
		"option": func(*testing.T) agent.Option { return agent.WithEnrichment(false) },
		"environment": func(t *testing.T) agent.Option {
			t.Helper()
			t.Setenv("GMPULSE_ENRICH", "off")
			return agent.WithInterval(0)
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, _ := start(t, opt(t))
			var next sdktrace.SpanExporter = tracetest.NewInMemoryExporter()
			if a.WrapExporter(next) != next {
				t.Error("WrapExporter wraps although enrichment is off")
			}
		})
	}
}

func TestDisabledAgentWrapsNothing(t *testing.T) {
	t.Setenv("OTEL_SDK_DISABLED", "true")
	a, err := agent.Start(agent.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	defer stop(t, a)
	var (
		exporter  sdktrace.SpanExporter = tracetest.NewInMemoryExporter()
		processor                       = sdktrace.NewSimpleSpanProcessor(exporter)
		provider  trace.TracerProvider  = sdktrace.NewTracerProvider()
		handler                         = slog.DiscardHandler
	)
	if a.WrapExporter(exporter) != exporter || a.WrapProcessor(processor) != processor || a.WrapTracerProvider(provider) != provider || a.LogHandler(handler) != handler {
		t.Error("a disabled agent wraps something")
	}
}

func awaitTicks(t *testing.T, a *agent.Agent, n uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for want := a.Stats().Ticks + n; a.Stats().Ticks < want; {
		select {
		case <-ctx.Done():
			t.Fatal("no ticks")
		case <-time.After(time.Millisecond):
		}
	}
}

func attributeKeys(attrs []attribute.KeyValue) string {
	var keys []string
	for _, a := range attrs {
		keys = append(keys, string(a.Key))
	}
	return strings.Join(keys, " ")
}
