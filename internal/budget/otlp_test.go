// SPDX-License-Identifier: Apache-2.0

package budget

import (
	"context"
	"testing"
	"time"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/gmpulse/gmpulse/exporters/otlp"
	"github.com/gmpulse/gmpulse/internal/sampler"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// discard is an exporter of the SDK that drops all metrics.
type discard struct{ temporality metricdata.Temporality }

func (n discard) Temporality(sdkmetric.InstrumentKind) metricdata.Temporality { return n.temporality }

func (discard) Aggregation(k sdkmetric.InstrumentKind) sdkmetric.Aggregation {
	return sdkmetric.DefaultAggregationSelector(k)
}

func (discard) Export(context.Context, *metricdata.ResourceMetrics) error { return nil }
func (discard) ForceFlush(context.Context) error                          { return nil }
func (discard) Shutdown(context.Context) error                            { return nil }

// counter counts what it exports.
type counter struct {
	discard
	metrics, points int
}

func (c *counter) Export(_ context.Context, rm *metricdata.ResourceMetrics) error {
	for _, s := range rm.ScopeMetrics {
		c.metrics += len(s.Metrics)
		for _, m := range s.Metrics {
			switch data := m.Data.(type) {
			case metricdata.Gauge[float64]:
				c.points += len(data.DataPoints)
			case metricdata.Sum[float64]:
				c.points += len(data.DataPoints)
			case metricdata.Histogram[float64]:
				c.points += len(data.DataPoints)
			}
		}
	}
	return nil
}

// countedOTLP returns how much of a summary an export of the default set has.
func countedOTLP(tb testing.TB, s *runtimeinfo.Snapshot) *counter {
	tb.Helper()
	c := &counter{discard: discard{metricdata.CumulativeTemporality}}
	e, err := otlp.New(otlp.Config{Metrics: c})
	if err != nil {
		tb.Fatal(err)
	}
	if err := e.Export(tb.Context(), s); err != nil {
		tb.Fatal(err)
	}
	return c
}

func otlpMetrics(summary func(testing.TB) *runtimeinfo.Snapshot) func(testing.TB) float64 {
	return func(tb testing.TB) float64 {
		tb.Helper()
		return float64(countedOTLP(tb, summary(tb)).metrics)
	}
}

func otlpPoints(summary func(testing.TB) *runtimeinfo.Snapshot) func(testing.TB) float64 {
	return func(tb testing.TB) float64 {
		tb.Helper()
		return float64(countedOTLP(tb, summary(tb)).points)
	}
}

// collect returns a function that exports the next of four live snapshots.
func collect(tb testing.TB, t metricdata.Temporality) func() {
	tb.Helper()
	e, err := otlp.New(otlp.Config{Metrics: discard{t}, Process: true})
	if err != nil {
		tb.Fatal(err)
	}
	r := sampler.NewReader(sampler.Config{})
	var live []*runtimeinfo.Snapshot
	for range 4 {
		r.Read(sampler.Tick{Time: time.Now()})
		live = append(live, r.Snapshot())
	}
	i := 0
	export := func() {
		i++
		if err := e.Export(tb.Context(), live[i%len(live)]); err != nil {
			tb.Fatal(err)
		}
	}
	export()
	return export
}

func collectAllocations(tb testing.TB) float64 {
	tb.Helper()
	return allocations(collect(tb, metricdata.CumulativeTemporality))
}

func deltaAllocations(tb testing.TB) float64 {
	tb.Helper()
	return allocations(collect(tb, metricdata.DeltaTemporality))
}
