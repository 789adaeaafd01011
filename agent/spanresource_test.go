// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"strings"
	"testing"

	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/gmpulse/gmpulse/agent"
	"github.com/gmpulse/gmpulse/internal/testutil"
)

// A TracerProvider whose service.name is not the agent's is one warning, which has the fix. One
// without a configured name is none.
func TestSpansOfAnotherServiceNameAreReported(t *testing.T) {
	for spans, want := range map[string]int{"orders": 1, "checkout": 0, "unknown_service:test": 0, "": 0} {
		t.Run(spans, func(t *testing.T) {
			a, log := start(t, agent.WithResource(resource.NewSchemaless(semconv.ServiceName("checkout"))))
			tp := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(a.SpanProcessor()), sdktrace.WithResource(resource.NewSchemaless(semconv.ServiceName(spans))))
			for range 2 {
				_, span := tp.Tracer("test").Start(t.Context(), "GET /")
				span.End()
				ticks := a.Stats().Ticks
				testutil.Eventually(t, "the agent has seen the span", func() bool { return a.Stats().Ticks > ticks+1 })
			}
			stop(t, a)
			if got := strings.Count(log.String(), "another service.name"); got != want {
				t.Errorf("%d warnings, want %d:\n%s", got, want, log)
			}
			if want > 0 && !strings.Contains(log.String(), " spans=orders agent=checkout\n") {
				t.Errorf("the warning lacks the names:\n%s", log)
			}
		})
	}
}
