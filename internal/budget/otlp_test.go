// SPDX-License-Identifier: Apache-2.0

package budget

import (
	"context"
	"testing"
	"time"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/gmpulse/gmpulse/exporters/otlp"
	"github.com/gmpulse/gmpulse/runtimeinfo"
	"github.com/gmpulse/gmpulse/runtimeinfo/sampler"
)

// nowhere is an exporter of the SDK's that drops what it gets.
type nowhere struct{ temporality metricdata.Temporality }

func (n nowhere) Temporality(sdkmetric.InstrumentKind) metricdata.Temporality { return n.temporality }

func (nowhere) Aggregation(k sdkmetric.InstrumentKind) sdkmetric.Aggregation {
	return sdkmetric.DefaultAggregationSelector(k)
}

func (nowhere) Export(context.Context, *metricdata.ResourceMetrics) error { return nil }
func (nowhere) ForceFlush(context.Context) error                          { return nil }
func (nowhere) Shutdown(context.Context) error                            { return nil }

// collect makes OTLP's metrics of one live snapshot after the other.
func collect(tb testing.TB, t metricdata.Temporality) func() {
	tb.Helper()
	e, err := otlp.New(otlp.Config{Metrics: nowhere{t}, Process: true})
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
