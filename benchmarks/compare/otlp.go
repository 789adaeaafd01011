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

// nowhere is an exporter of the SDK's that drops what it gets: what is left is the
// collecting.
type nowhere struct{ temporality metricdata.Temporality }

func (n nowhere) Temporality(sdkmetric.InstrumentKind) metricdata.Temporality { return n.temporality }

func (nowhere) Aggregation(k sdkmetric.InstrumentKind) sdkmetric.Aggregation {
	return sdkmetric.DefaultAggregationSelector(k)
}

func (nowhere) Export(context.Context, *metricdata.ResourceMetrics) error { return nil }
func (nowhere) ForceFlush(context.Context) error                          { return nil }
func (nowhere) Shutdown(context.Context) error                            { return nil }

// instruments are observable ones of the SDK's, one for each number of a snapshot,
// with its name, unit, description and attributes.
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
			continue // none of the SDK's can be observed
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

// exportInTurn hands over one snapshot after the other: the same one again would
// not be sent.
func exportInTurn(e exporters.Exporter, all []*runtimeinfo.Snapshot) func() error {
	i := 0
	return func() error {
		i++
		return e.Export(context.Background(), all[i%len(all)])
	}
}

func printOTLP(e effort) error {
	address, stop, err := startSink(roleHTTP)
	if err != nil {
		return err
	}
	defer stop()
	live := liveSnapshots(8)
	collect, numbers, err1 := instruments(live[0])
	contrib, err2 := collectOTel(true, false)
	cumulative, err3 := otlp.New(otlp.Config{Metrics: nowhere{metricdata.CumulativeTemporality}, Process: true})
	deltas, err4 := otlp.New(otlp.Config{Metrics: nowhere{metricdata.DeltaTemporality}, Process: true})
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
	fmt.Printf("A snapshot has %d values, %d of them numbers, for each of which the SDK has an instrument.\n\n", points, numbers)
	printTurns("the SDK's instruments", sidebyside.Turns(e.turns, []sidebyside.Case{
		sidebyside.Must("the SDK's instruments, observed by one callback", func() error { return collect(&data) }),
		sidebyside.Must("OTel contrib runtime, 10 metrics", contrib),
		sidebyside.Must("**gmpulse**, cumulative", exportInTurn(cumulative, live)),
		sidebyside.Must("**gmpulse**, deltas", exportInTurn(deltas, live)),
		sidebyside.Must("the SDK's exporter: encoding and sending over HTTP, loopback", func() error { return sdk.Export(context.Background(), &again) }),
		sidebyside.Must("the SDK's instruments with that", func() error {
			return errors.Join(collect(&data), sdk.Export(context.Background(), &data))
		}),
		sidebyside.Must("**gmpulse** with that", exportInTurn(sent, live)),
	}))
	return errors.Join(sent.Shutdown(context.Background()), sdk.Shutdown(context.Background()))
}
