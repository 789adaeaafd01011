// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/gmpulse/gmpulse/benchmarks/sidebyside"
	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/otlp"
	"github.com/gmpulse/gmpulse/exporters/otlp/otlphttp"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// discardMetrics is an exporter of the SDK that drops all metrics, so that only the
// collection is measured.
type discardMetrics struct{ temporality metricdata.Temporality }

func (n discardMetrics) Temporality(sdkmetric.InstrumentKind) metricdata.Temporality {
	return n.temporality
}

func (discardMetrics) Aggregation(k sdkmetric.InstrumentKind) sdkmetric.Aggregation {
	return sdkmetric.DefaultAggregationSelector(k)
}

func (discardMetrics) Export(context.Context, *metricdata.ResourceMetrics) error { return nil }
func (discardMetrics) ForceFlush(context.Context) error                          { return nil }
func (discardMetrics) Shutdown(context.Context) error                            { return nil }

// instruments returns a function that collects n observable instruments of the SDK: one
// for each number of a snapshot, with its name, unit, description and attributes.
func instruments(s *runtimeinfo.Snapshot) (collect func(*metricdata.ResourceMetrics) error, n int, err error) {
	reader := sdkmetric.NewManualReader()
	meter := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)).Meter("compare")
	type observation struct {
		instrument metric.Float64Observable
		value      float64
		attributes metric.ObserveOption
	}
	var all []observation
	var observables []metric.Observable
	known := map[string]metric.Float64Observable{}
	for p := range s.Points() {
		if p.Histogram != nil {
			continue // the SDK has no observable histogram
		}
		i := known[p.Metric.Name]
		if i == nil {
			if i, err = instrument(meter, p.Metric); err != nil {
				return nil, 0, err
			}
			known[p.Metric.Name] = i
			observables = append(observables, i)
		}
		var kvs []attribute.KeyValue
		for k, v := range p.Attrs() {
			kvs = append(kvs, attribute.String(k, v))
		}
		all = append(all, observation{i, p.Number, metric.WithAttributeSet(attribute.NewSet(kvs...))})
	}
	_, err = meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		for i := range all {
			o.ObserveFloat64(all[i].instrument, all[i].value, all[i].attributes)
		}
		return nil
	}, observables...)
	return func(into *metricdata.ResourceMetrics) error { return reader.Collect(context.Background(), into) }, len(all), err
}

func instrument(meter metric.Meter, m *runtimeinfo.Metric) (metric.Float64Observable, error) {
	unit, help := metric.WithUnit(m.Unit), metric.WithDescription(m.Help)
	switch m.Kind {
	case runtimeinfo.KindCounter:
		return meter.Float64ObservableCounter(m.Name, unit, help)
	case runtimeinfo.KindUpDownCounter:
		return meter.Float64ObservableUpDownCounter(m.Name, unit, help)
	default:
		return meter.Float64ObservableGauge(m.Name, unit, help)
	}
}

// exportInTurn returns a function that exports the next of the snapshots. The exporter
// would not send the same snapshot again.
func exportInTurn(e exporters.Exporter, all []*runtimeinfo.Snapshot) func() error {
	i := 0
	return func() error {
		i++
		return e.Export(context.Background(), all[i%len(all)])
	}
}

func printOTLP(e effort) error {
	address, stop, err := startServer(roleHTTP)
	if err != nil {
		return err
	}
	defer stop()
	live := liveSnapshots(8)
	collect, numbers, err1 := instruments(live[0])
	contrib, err2 := collectOTel(true, false)
	cumulative, err3 := otlp.New(otlp.Config{Metrics: discardMetrics{metricdata.CumulativeTemporality}, Process: true})
	deltas, err4 := otlp.New(otlp.Config{Metrics: discardMetrics{metricdata.DeltaTemporality}, Process: true})
	to := []otlpmetrichttp.Option{otlpmetrichttp.WithEndpoint(address), otlpmetrichttp.WithInsecure()}
	sent, err5 := otlphttp.New(context.Background(), otlphttp.Config{Process: true, NoLogs: true, Metrics: to})
	sdk, err6 := otlpmetrichttp.New(context.Background(), to...)
	if err := errors.Join(err1, err2, err3, err4, err5, err6); err != nil {
		return err
	}
	var data, again metricdata.ResourceMetrics
	if err := collect(&again); err != nil {
		return err
	}
	points := 0
	for range live[0].Points() {
		points++
	}
	fmt.Printf("A snapshot has %d values. %d of them are numbers, and the SDK has one instrument for each of these.\n\n", points, numbers)
	printTurns("the SDK's instruments", sidebyside.Turns(e.turns, []sidebyside.Case{
		sidebyside.Must("the SDK's instruments, observed by one callback", func() error { return collect(&data) }),
		sidebyside.Must("OTel contrib runtime, 10 metrics", contrib),
		sidebyside.Must("**gmpulse**, cumulative", exportInTurn(cumulative, live)),
		sidebyside.Must("**gmpulse**, deltas", exportInTurn(deltas, live)),
		sidebyside.Must("the SDK's exporter: encoding and sending over loopback HTTP", func() error { return sdk.Export(context.Background(), &again) }),
		sidebyside.Must("the SDK's instruments with the SDK's exporter", func() error {
			return errors.Join(collect(&data), sdk.Export(context.Background(), &data))
		}),
		sidebyside.Must("**gmpulse** with the SDK's exporter", exportInTurn(sent, live)),
	}))
	return errors.Join(sent.Shutdown(context.Background()), sdk.Shutdown(context.Background()))
}
