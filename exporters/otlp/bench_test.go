// SPDX-License-Identifier: Apache-2.0

package otlp_test

import (
	"context"
	"testing"
	"time"

	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/gmpulse/gmpulse/exporters/otlp"
	"github.com/gmpulse/gmpulse/internal/sampler"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// discard is a metric exporter that discards what it receives.
type discard struct{ metrics }

func (*discard) Export(context.Context, *metricdata.ResourceMetrics) error { return nil }

// BenchmarkExport converts live snapshots, without a transport.
func BenchmarkExport(b *testing.B) {
	r := sampler.NewReader(sampler.Config{})
	var live []*runtimeinfo.Snapshot
	for range 8 {
		r.Read(sampler.Tick{Time: time.Now()})
		live = append(live, r.Snapshot())
	}
	for name, delta := range map[string]bool{"cumulative": false, "delta": true} {
		b.Run(name, func(b *testing.B) {
			e, err := otlp.New(otlp.Config{Metrics: &discard{metrics{delta: delta}}})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				i++
				if err := e.Export(b.Context(), live[i%len(live)]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
