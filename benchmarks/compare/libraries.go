// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"os"
	"reflect"
	"runtime"
	"runtime/metrics"
	"runtime/pprof"
	"time"
	"unsafe" // also for go:linkname

	_ "github.com/DataDog/go-runtime-metrics-internal/pkg/runtimemetrics" // reached by its symbols
	vm "github.com/VictoriaMetrics/metrics"
	"github.com/arl/statsviz"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	holmesmem "github.com/shirou/gopsutil/mem" // the version that holmes uses
	holmesproc "github.com/shirou/gopsutil/process"
	otelhost "go.opentelemetry.io/contrib/instrumentation/host"
	otelruntime "go.opentelemetry.io/contrib/instrumentation/runtime"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	_ "mosn.io/holmes" // for its version; see holmesTick

	"github.com/gmpulse/gmpulse/benchmarks/sidebyside"
)

// This file has one sample of each compared library, as the library takes it at its own
// interval.

func gather(name string, all ...prometheus.Collector) sidebyside.Case {
	r := prometheus.NewRegistry()
	r.MustRegister(all...)
	return sidebyside.Must(name, func() error {
		_, err := r.Gather()
		return err
	})
}

func goAndProcess() []prometheus.Collector {
	return []prometheus.Collector{collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})}
}

// collectOTel returns a function that collects the metrics of OpenTelemetry's contrib
// instrumentation.
func collectOTel(withRuntime, withHost bool) (func() error, error) {
	reader := sdkmetric.NewManualReader()
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	if withRuntime {
		if err := otelruntime.Start(otelruntime.WithMeterProvider(provider), otelruntime.WithMinimumReadMemStatsInterval(0)); err != nil {
			return nil, err
		}
	}
	if withHost {
		if err := otelhost.Start(otelhost.WithMeterProvider(provider)); err != nil {
			return nil, err
		}
	}
	var data metricdata.ResourceMetrics
	return func() error { return reader.Collect(context.Background(), &data) }, nil
}

// statsvizTick returns a function that encodes what statsviz sends to its page. It uses
// reflection, because statsviz does not export its encoder.
func statsvizTick() (func() error, error) {
	server, err := statsviz.NewServer(statsviz.SendFrequency(time.Hour))
	if err != nil {
		return nil, err
	}
	field := reflect.ValueOf(server).Elem().FieldByName("plots")
	plots := reflect.NewAt(field.Type(), unsafe.Pointer(field.UnsafeAddr())).Elem().Interface().(io.WriterTo)
	return func() error {
		var b bytes.Buffer
		_, err := plots.WriteTo(&b)
		return err
	}, nil
}

type datadogStore struct {
	metrics  map[string]*struct{}
	statsd   datadogStatsd
	logger   *slog.Logger
	baseTags []string
}

type datadogStatsd interface {
	GaugeWithTimestamp(name string, value float64, tags []string, rate float64, timestamp time.Time) error
	CountWithTimestamp(name string, value int64, tags []string, rate float64, timestamp time.Time) error
	DistributionSamples(name string, values []float64, tags []string, rate float64) error
}

type noStatsd struct{}

func (noStatsd) GaugeWithTimestamp(string, float64, []string, float64, time.Time) error { return nil }
func (noStatsd) CountWithTimestamp(string, int64, []string, float64, time.Time) error   { return nil }
func (noStatsd) DistributionSamples(string, []float64, []string, float64) error         { return nil }

//go:linkname datadogNew github.com/DataDog/go-runtime-metrics-internal/pkg/runtimemetrics.newRuntimeMetricStore
func datadogNew([]metrics.Description, datadogStatsd, *slog.Logger) datadogStore

//go:linkname datadogReport github.com/DataDog/go-runtime-metrics-internal/pkg/runtimemetrics.runtimeMetricStore.report
func datadogReport(datadogStore)

// datadogTick returns DataDog's report function with a client that sends nothing.
func datadogTick() func() {
	store := datadogNew(metrics.All(), noStatsd{}, slog.New(slog.DiscardHandler))
	return func() { datadogReport(store) }
}

// holmesTick does the work of a tick of holmes, which has no function for it. It omits
// the second that holmes sleeps between two readings of the CPU time.
func holmesTick() error {
	p, err := holmesproc.NewProcess(int32(os.Getpid()))
	if err != nil {
		return err
	}
	for range 2 {
		if _, err := p.Times(); err != nil {
			return err
		}
	}
	if _, err := p.MemoryInfo(); err != nil {
		return err
	}
	runtime.NumGoroutine()
	pprof.Lookup("threadcreate").Count()
	_, err = holmesmem.VirtualMemory()
	return err
}

func victoriaMetrics() { vm.WriteProcessMetrics(io.Discard) }
