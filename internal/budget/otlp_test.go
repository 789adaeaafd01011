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
