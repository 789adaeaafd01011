// SPDX-License-Identifier: Apache-2.0

package otlp_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/resource"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/exporttest"
	"github.com/gmpulse/gmpulse/exporters/otlp"
)

func TestProducerConformance(t *testing.T) {
	exporttest.Run(t, func(t *testing.T) exporters.Exporter {
		t.Helper()
		return otlp.NewProducer(otlp.ProducerConfig{Process: true, Selection: all(t)})
	})
}

// A periodic reader exports the newest snapshot with the resource of the application's
// provider, beside the application's own metrics.
func TestPeriodicReaderExportsTheNewestSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, p := &metrics{}, otlp.NewProducer(otlp.ProducerConfig{})
		provider := sdkmetric.NewMeterProvider(
			sdkmetric.WithResource(resource.NewSchemaless(attribute.String("service.name", "shop"))),
			sdkmetric.WithReader(sdkmetric.NewPeriodicReader(copies{m}, sdkmetric.WithInterval(time.Minute), sdkmetric.WithProducer(p))))
		orders, err := provider.Meter("shop").Int64Counter("orders")
		if err != nil {
			t.Fatal(err)
		}
		orders.Add(t.Context(), 1)
		time.Sleep(time.Second / 2) // exports and collections are at different times
		for i := range 90 {
			if err := p.Export(t.Context(), at(i+1, float64(i), 1, 1)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		synctest.Wait()
		if len(m.got) != 1 {
			t.Fatalf("%d exports in 90 s", len(m.got))
		}
		rm := m.got[0]
		if v, _ := rm.Resource.Set().Value("service.name"); v.AsString() != "shop" || len(rm.ScopeMetrics) != 2 {
			t.Errorf("resource %v, %d scopes", rm.Resource, len(rm.ScopeMetrics))
		}
		sum := find(t, rm, "c").(metricdata.Sum[float64])
		if v := sum.DataPoints[0].Value; v != 59 || !sum.IsMonotonic || sum.Temporality != metricdata.CumulativeTemporality {
			t.Errorf("after a minute: %+v", sum)
		}
		if err := errors.Join(p.Shutdown(t.Context()), provider.Shutdown(t.Context())); err != nil {
			t.Error(err)
		}
		if n := len(m.last().ScopeMetrics); n != 1 {
			t.Errorf("%d scopes after Shutdown of the producer, want the application's", n)
		}
	})
}

// copies keeps a copy of what it exports, because the reader reuses it.
type copies struct{ *metrics }

func (c copies) Export(ctx context.Context, rm *metricdata.ResourceMetrics) error {
	own := *rm
	own.ScopeMetrics = append([]metricdata.ScopeMetrics(nil), rm.ScopeMetrics...)
	return c.metrics.Export(ctx, &own)
}

// find returns the data of a metric of [otlp.Scope].
func find(t *testing.T, rm *metricdata.ResourceMetrics, name string) metricdata.Aggregation {
	t.Helper()
	for _, s := range rm.ScopeMetrics {
		for _, m := range s.Metrics {
			if s.Scope.Name == otlp.Scope && m.Name == name {
				return m.Data
			}
		}
	}
	t.Fatalf("no metric %s", name)
	return nil
}

// Two manual readers get the same cumulative metrics as an Exporter sends.
func TestManualReadersGetTheMetricsOfAnExporter(t *testing.T) {
	p, m := otlp.NewProducer(otlp.ProducerConfig{}), &metrics{}
	var readers []sdkmetric.Reader
	for range 2 {
		r := sdkmetric.NewManualReader(sdkmetric.WithProducer(p))
		readers = append(readers, r)
		provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(r))
		defer func() { _ = provider.Shutdown(context.WithoutCancel(t.Context())) }()
	}
	var rm metricdata.ResourceMetrics
	if err := readers[0].Collect(t.Context(), &rm); err != nil || len(rm.ScopeMetrics) != 0 {
		t.Errorf("before the first snapshot: %v, %+v", err, rm.ScopeMetrics)
	}
	s := exporttest.Snapshot()
	if err := errors.Join(p.Export(t.Context(), s), newExporter(t, otlp.Config{Metrics: m}).Export(t.Context(), s)); err != nil {
		t.Fatal(err)
	}
	for _, r := range readers {
		for range 2 {
			if err := r.Collect(t.Context(), &rm); err != nil || !reflect.DeepEqual(rm.ScopeMetrics, m.last().ScopeMetrics) {
				t.Errorf("%v\n%+v\nwant\n%+v", err, rm.ScopeMetrics, m.last().ScopeMetrics)
			}
		}
	}
}

// With the temporality of an exporter that wants deltas, each collection has the increase
// since the last one.
func TestProducerOfDeltas(t *testing.T) {
	p := otlp.NewProducer(otlp.ProducerConfig{Temporality: (&metrics{delta: true}).Temporality})
	collect := func() *metricdata.ResourceMetrics {
		t.Helper()
		all, err := p.Produce(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return &metricdata.ResourceMetrics{ScopeMetrics: all}
	}
	for i, want := range []int{0, 3, 0, 5} { // the sum of the increases since the last collection
		if i != 2 { // no newer snapshot
			if err := p.Export(t.Context(), at(10*i+1, float64([]int{100, 103, 0, 108}[i]), uint64(i), 1)); err != nil {
				t.Fatal(err)
			}
		}
		points := find(t, collect(), "c").(metricdata.Sum[float64]).DataPoints
		var got float64
		for _, d := range points {
			got += d.Value
		}
		if got != float64(want) {
			t.Errorf("collection %d: %+v, want %d", i, points, want)
		}
	}
}

func TestCanceledProduce(t *testing.T) {
	p := otlp.NewProducer(otlp.ProducerConfig{})
	if err := p.Export(t.Context(), exporttest.Snapshot()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if all, err := p.Produce(ctx); !errors.Is(err, context.Canceled) || all != nil {
		t.Errorf("%v, %v", all, err)
	}
}

func ExampleNewProducer() {
	p := otlp.NewProducer(otlp.ProducerConfig{})
	reader := sdkmetric.NewManualReader(sdkmetric.WithProducer(p)) // usually NewPeriodicReader
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	defer func() { _ = provider.Shutdown(context.Background()) }()

	// agent.Start(agent.WithExporter("otel", p)) exports a snapshot every ten seconds.
	_ = p.Export(context.Background(), exporttest.Snapshot())

	var rm metricdata.ResourceMetrics
	fmt.Println(reader.Collect(context.Background(), &rm))
	fmt.Println(strings.HasSuffix(rm.ScopeMetrics[0].Scope.Name, "gmpulse"), rm.ScopeMetrics[0].Metrics[0].Name)
	// Output:
	// <nil>
	// true go.goroutine.count
}
