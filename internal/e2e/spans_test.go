// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"strings"
	"testing"

	"github.com/gmpulse/gmpulse/internal/peers"
)

// OTEL_EXPORTER_OTLP_ENDPOINT makes the quick start send its spans to the Collector. Spans
// keep their parents, and long ones have the attributes that tracectx adds.
func TestQuickstartSendsSpans(t *testing.T) {
	t.Parallel()
	c := peers.StartCollector(t)
	app := spawn(t, []string{
		"GMPULSE_LISTEN=off", "OTEL_EXPORTER_OTLP_ENDPOINT=http://" + c.OTLPHTTP, "OTEL_SERVICE_NAME=quickstart",
	}, build(t, "./examples/quickstart"), "-rate", "50", "-for", "6s")
	app.wait(t)

	roots := map[string]bool{}
	spans := c.Await(t, 100, func(r *peers.Record) bool { return r.Signal == "span" })
	for i := range spans {
		if spans[i].ParentID == "" {
			roots[spans[i].TraceID+spans[i].SpanID] = true
		}
	}
	enriched, packed := 0, 0
	for i := range spans {
		switch s := &spans[i]; s.Name {
		case "GET /report":
			ticks, _ := s.Attributes["gmpulse.process.during.ticks"].(float64)
			active, _ := s.Attributes["gmpulse.process.during.active_spans"].(float64)
			if ticks < 1 || active < 1 || s.Resource["service.name"] != "quickstart" {
				t.Errorf("%s of %v arrived with %v", s.Name, s.Resource, s.Attributes)
			}
			enriched++
		case "pack":
			if !roots[s.TraceID+s.ParentID] {
				t.Errorf("%s is below %s, which did not arrive", s.Name, s.ParentID)
			}
			packed++
		}
	}
	if enriched == 0 || packed == 0 {
		t.Errorf("of %d spans %d were enriched, %d are below others", len(spans), enriched, packed)
	}
}

// The quick start rejects OTLP protocols that it does not support.
func TestQuickstartRejectsUnsupportedProtocols(t *testing.T) {
	t.Parallel()
	app := spawn(t, []string{
		"GMPULSE_LISTEN=off", "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4317", "OTEL_EXPORTER_OTLP_PROTOCOL=grpc",
	}, build(t, "./examples/quickstart"), "-for", "1s")
	<-app.done
	if out := app.output(); app.cmd.ProcessState.ExitCode() != 1 || !strings.Contains(out, "OTEL_EXPORTER_OTLP_PROTOCOL") {
		t.Errorf("exits with %d: %s", app.cmd.ProcessState.ExitCode(), out)
	}
}
