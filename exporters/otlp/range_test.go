// SPDX-License-Identifier: Apache-2.0

package otlp_test

import (
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/gmpulse/gmpulse/exporters/otlp"
	"github.com/gmpulse/gmpulse/internal/summary"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// A summary of several ticks has the least, the mean and the greatest value of its metrics as
// gauges of the gmpulse namespace, beside the last value. A snapshot of one tick has none.
func TestRanges(t *testing.T) {
	goroutines := &runtimeinfo.Metric{Name: "go.goroutine.count", Unit: "{goroutine}", Kind: runtimeinfo.KindUpDownCounter, Ranged: true}
	active := &runtimeinfo.Metric{Name: "gmpulse.root_span.active", Unit: "{span}", Kind: runtimeinfo.KindUpDownCounter, Ranged: true, Keys: []string{"span.name"}}
	var sum summary.Summary
	for i, n := range []float64{10, 40, 10} {
		s := runtimeinfo.NewSnapshot(runtimeinfo.Point{Metric: goroutines, Number: n}, runtimeinfo.Point{Metric: active, Labels: []string{"GET /"}, Number: n / 10})
		s.Seq, s.Start, s.Time, s.Since = uint64(i+1), start, start.Add(time.Duration(i+1)*time.Second), start.Add(time.Duration(i)*time.Second)
		sum.Add(s)
	}
	m := &metrics{delta: true}
	if err := newExporter(t, otlp.Config{Metrics: m}).Export(t.Context(), sum.Snapshot()); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]map[string]float64{
		"gmpulse.range.go.goroutine.count": {"min": 10, "mean": 20, "max": 40},
		"gmpulse.range.root_span.active":   {"min": 1, "mean": 2, "max": 4},
	} {
		gauge, ok := m.find(t, name).(metricdata.Gauge[float64])
		if !ok || len(gauge.DataPoints) != 3 {
			t.Fatalf("%s: %+v", name, gauge)
		}
		for _, p := range gauge.DataPoints {
			kind, _ := p.Attributes.Value("gmpulse.range")
			if v, ok := want[kind.AsString()]; !ok || p.Value != v || !p.StartTime.Equal(start) || !p.Time.Equal(start.Add(3*time.Second)) {
				t.Errorf("%s: %+v", name, p)
			}
			if span, _ := p.Attributes.Value("span.name"); (name == "gmpulse.range.root_span.active") != (span.Type() == attribute.STRING && span.AsString() == "GET /") {
				t.Errorf("%s: %v", name, p.Attributes.ToSlice())
			}
		}
	}
	last := &metrics{}
	s := runtimeinfo.NewSnapshot(runtimeinfo.Point{Metric: goroutines, Number: 10})
	if err := newExporter(t, otlp.Config{Metrics: last}).Export(t.Context(), s); err != nil || len(last.last().ScopeMetrics[0].Metrics) != 1 {
		t.Errorf("%v, %+v", err, last.last().ScopeMetrics[0].Metrics)
	}
}
