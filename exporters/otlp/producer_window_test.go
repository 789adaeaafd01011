// SPDX-License-Identifier: Apache-2.0

package otlp_test

import (
	"context"
	"errors"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/gmpulse/gmpulse/exporters/otlp"
	"github.com/gmpulse/gmpulse/internal/summary"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

const depthRange = "gmpulse.range.queue.depth"

// depthAt returns the snapshot of a second in which a queue has a length.
func depthAt(second int, depth float64) *runtimeinfo.Snapshot {
	m := &runtimeinfo.Metric{Name: "queue.depth", Kind: runtimeinfo.KindGauge, Headline: true, Ranged: true, Subsystem: runtimeinfo.SubsystemUser}
	s := runtimeinfo.NewSnapshot(runtimeinfo.Point{Metric: m, Number: depth})
	s.Seq, s.Start, s.Ticks = uint64(second), start, 1
	s.Time, s.Since = start.Add(time.Duration(second)*time.Second), start.Add(time.Duration(second-1)*time.Second)
	return s
}

// tenSeconds returns the summary that an agent exports at the end of ten seconds, the last of which is given.
func tenSeconds(last int, depth func(second int) float64) *runtimeinfo.Snapshot {
	var sum summary.Summary
	for second := last - 9; second <= last; second++ {
		sum.Add(depthAt(second, depth(second)))
	}
	return sum.Snapshot()
}

// wantRange checks the range of the queue, and the seconds at which it begins and ends.
func wantRange(t *testing.T, data metricdata.Aggregation, least, mean, greatest float64, from, to int) {
	t.Helper()
	gauge, ok := data.(metricdata.Gauge[float64])
	if !ok {
		t.Fatalf("%+v", data)
	}
	got, want := map[string]float64{}, map[string]float64{"min": least, "mean": mean, "max": greatest}
	for _, p := range gauge.DataPoints {
		kind, _ := p.Attributes.Value("gmpulse.range")
		got[kind.AsString()] = p.Value
		if begin, end := p.StartTime.Sub(start).Seconds(), p.Time.Sub(start).Seconds(); begin != float64(from) || end != float64(to) {
			t.Errorf("the range is of seconds %v to %v, want %d to %d", begin, end, from, to)
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("range %v, want %v", got, want)
	}
}

// A reader that collects every minute gets the ranges of the minute, of which the agent has exported six
// summaries, and not only of the last ten seconds.
func TestPeriodicReaderGetsTheRangesOfItsInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, p := &metrics{}, otlp.NewProducer(otlp.ProducerConfig{})
		provider := sdkmetric.NewMeterProvider(
			sdkmetric.WithReader(sdkmetric.NewPeriodicReader(copies{m}, sdkmetric.WithInterval(time.Minute), sdkmetric.WithProducer(p))))
		peaks := map[int]float64{13: 600, 25: -60, 75: 120}
		time.Sleep(9 * time.Second) // so that exports and collections are at different times
		for last := 10; last <= 180; last += 10 {
			if err := p.Export(t.Context(), tenSeconds(last, func(second int) float64 { return peaks[second] + 1 })); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Second)
		}
		synctest.Wait()
		if len(m.got) != 3 {
			t.Fatalf("%d collections, want 3", len(m.got))
		}
		for i, want := range [][3]float64{{-59, 10, 601}, {1, 3, 121}, {1, 1, 1}} {
			wantRange(t, find(t, m.got[i], depthRange), want[0], want[1], want[2], 60*i, 60*i+60)
		}
		if err := errors.Join(p.Shutdown(t.Context()), provider.Shutdown(t.Context())); err != nil {
			t.Error(err)
		}
	})
}

// Readers that collect one after the other, with no export between them, get the same ranges.
func TestCollectionsWithoutAnExportBetweenThem(t *testing.T) {
	p := otlp.NewProducer(otlp.ProducerConfig{})
	collect := func() metricdata.Aggregation {
		t.Helper()
		all, err := p.Produce(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return find(t, &metricdata.ResourceMetrics{ScopeMetrics: all}, depthRange)
	}
	export := func(last int) {
		t.Helper()
		if err := p.Export(t.Context(), tenSeconds(last, func(second int) float64 { return float64(second) })); err != nil {
			t.Fatal(err)
		}
	}
	export(10)
	export(20)
	for range 2 {
		wantRange(t, collect(), 1, 10.5, 20, 0, 20)
	}
	export(30)
	for range 2 {
		wantRange(t, collect(), 21, 25.5, 30, 20, 30)
	}
}

// A collection that fails because its context is done loses nothing of the range.
func TestCanceledProduceKeepsTheRange(t *testing.T) {
	p := otlp.NewProducer(otlp.ProducerConfig{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, last := range []int{10, 20} {
		if err := p.Export(t.Context(), tenSeconds(last, func(second int) float64 { return float64(second) })); err != nil {
			t.Fatal(err)
		}
		if all, err := p.Produce(ctx); !errors.Is(err, context.Canceled) || all != nil {
			t.Fatalf("%v, %v", all, err)
		}
	}
	all, err := p.Produce(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	wantRange(t, find(t, &metricdata.ResourceMetrics{ScopeMetrics: all}, depthRange), 1, 10.5, 20, 0, 20)
}
