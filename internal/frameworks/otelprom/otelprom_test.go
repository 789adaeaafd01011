// SPDX-License-Identifier: Apache-2.0

// Package otelprom tests gmpulse with the Prometheus exporter of the OpenTelemetry SDK.
package otelprom

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	otelprom "go.opentelemetry.io/otel/exporters/prometheus"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/exporttest"
	"github.com/gmpulse/gmpulse/exporters/otlp"
)

// A program that exposes its OpenTelemetry metrics to Prometheus exposes gmpulse's with them.
func TestProducerBehindThePrometheusExporter(t *testing.T) {
	all, err := exporters.NewSelection("all")
	if err != nil {
		t.Fatal(err)
	}
	p, registry := otlp.NewProducer(otlp.ProducerConfig{Selection: all, Process: true}), prometheus.NewPedanticRegistry()
	reader, err := otelprom.New(otelprom.WithRegisterer(registry), otelprom.WithProducer(p))
	if err != nil {
		t.Fatal(err)
	}
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	defer func() { _ = provider.Shutdown(t.Context()) }()
	s := exporttest.Snapshot()
	if err := p.Export(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	want, _ := s.Number("go.goroutine.count")
	kinds := map[dto.MetricType]int{}
	found := false
	for _, f := range families {
		kinds[f.GetType()]++
		if f.GetName() == "go_goroutine_count" {
			found = f.GetMetric()[0].GetGauge().GetValue() == want
		}
	}
	if !found || kinds[dto.MetricType_COUNTER] == 0 || kinds[dto.MetricType_HISTOGRAM] == 0 {
		t.Errorf("go_goroutine_count found with its value: %v; families by type %v", found, kinds)
	}
}
