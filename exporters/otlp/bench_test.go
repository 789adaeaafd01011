package otlp_test

import (
	"context"
	"testing"
	"time"

	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/gmpulse/gmpulse/exporters/otlp"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// nowhere is a metric exporter that drops what it gets.
type nowhere struct{ metrics }

func (*nowhere) Export(context.Context, *metricdata.ResourceMetrics) error { return nil }

// BenchmarkExport is the conversion of a live snapshot, without the transport.
func BenchmarkExport(b *testing.B) {
	r := runtimeinfo.NewReader(runtimeinfo.Config{})
	for name, delta := range map[string]bool{"cumulative": false, "delta": true} {
		b.Run(name, func(b *testing.B) {
			e, err := otlp.New(otlp.Config{Metrics: &nowhere{metrics{delta: delta}}})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				r.Read(runtimeinfo.Tick{Time: time.Now()})
				s := r.Snapshot()
				b.StartTimer()
				if err := e.Export(b.Context(), s); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
