// SPDX-License-Identifier: Apache-2.0

package otlp_test

import (
	"context"
	"testing"
	"time"

	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/gmpulse/gmpulse/exporters/otlp"
	"github.com/gmpulse/gmpulse/runtimeinfo"
	"github.com/gmpulse/gmpulse/runtimeinfo/sampler"
)

// nowhere is a metric exporter that drops what it gets.
type nowhere struct{ metrics }

func (*nowhere) Export(context.Context, *metricdata.ResourceMetrics) error { return nil }

// BenchmarkExport is the conversion of live snapshots, without the transport.
func BenchmarkExport(b *testing.B) {
	r := sampler.NewReader(sampler.Config{})
	var live []*runtimeinfo.Snapshot
	for range 8 {
		r.Read(sampler.Tick{Time: time.Now()})
		live = append(live, r.Snapshot())
	}
	for name, delta := range map[string]bool{"cumulative": false, "delta": true} {
		b.Run(name, func(b *testing.B) {
			e, err := otlp.New(otlp.Config{Metrics: &nowhere{metrics{delta: delta}}})
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
