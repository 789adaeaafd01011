// SPDX-License-Identifier: Apache-2.0

package otlp_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/gmpulse/gmpulse/exporters/otlp"
	"github.com/gmpulse/gmpulse/internal/catalogue"
	"github.com/gmpulse/gmpulse/internal/host"
	"github.com/gmpulse/gmpulse/internal/hostfield"
	"github.com/gmpulse/gmpulse/internal/sampler"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// process is a simulated process whose values appear, disappear and change their order.
type process struct {
	*rand.Rand
	process  *catalogue.Process
	tick     int
	gauges   int
	exported map[string]uint64 // error counts by exporter
}

func newProcess(seed uint64) *process {
	return &process{Rand: rand.New(rand.NewPCG(seed, seed)), process: catalogue.NewProcess(), exported: map[string]uint64{}}
}

func (p *process) next(t *testing.T) *runtimeinfo.Snapshot {
	t.Helper()
	p.tick++
	if p.IntN(20) == 0 {
		if err := p.process.Gauge(fmt.Sprintf("own.%d", p.gauges), "1"); err != nil {
			t.Fatal(err)
		}
		p.gauges++
	}
	tick := sampler.Tick{Time: start.Add(time.Duration(p.tick) * time.Second), Host: host.NewSample()}
	for f := range hostfield.Count {
		if p.IntN(4) > 0 {
			tick.Host.Set(hostfield.Field(f), float64(p.IntN(1000)))
		}
	}
	span := runtimeinfo.Span{TraceID: [16]byte{byte(p.tick)}, SpanID: [8]byte{1}, Name: "GET /", Start: tick.Time, Sampled: true}
	spans := p.IntN(3) > 0
	if spans {
		tick.Span = &span
	}
	return p.process.Sample(tick, func(d *catalogue.Draft) {
		for i := range p.gauges {
			if p.IntN(2) > 0 {
				d.Set(fmt.Sprintf("own.%d", i), p.Float64())
			}
		}
		for _, i := range p.Perm(6)[:p.IntN(6)] {
			name := string(rune('a' + i))
			p.exported[name] += uint64(p.IntN(10))
			d.Exporter(name, 1, 0, p.exported[name])
		}
		if spans {
			d.Groups(tick.Time, []runtimeinfo.Span{span}, runtimeinfo.SpanGroup{Name: "GET /", Active: p.IntN(9)})
		}
	})
}

// TestCumulativeMetricsDependOnOneSnapshot compares an Exporter that has exported up to
// a thousand snapshots with a new one.
func TestCumulativeMetricsDependOnOneSnapshot(t *testing.T) {
	p, m := newProcess(1), &metrics{}
	old := newExporter(t, otlp.Config{Metrics: m, Process: true, Selection: all(t)})
	for range 1000 {
		s := p.next(t)
		fresh := &metrics{}
		if err := old.Export(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		if err := newExporter(t, otlp.Config{Metrics: fresh, Process: true, Selection: all(t)}).Export(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		if got, want := m.last().ScopeMetrics, fresh.got[0].ScopeMetrics; !reflect.DeepEqual(got, want) {
			t.Fatalf("tick %d:\n%+v\nwant\n%+v", p.tick, got, want)
		}
	}
}

// TestDeltasAreRelativeToTheLastDelivery exports a thousand snapshots, a third of which
// fail, and computes the expected deltas from the values delivered last.
func TestDeltasAreRelativeToTheLastDelivery(t *testing.T) {
	p, m := newProcess(2), &metrics{delta: true}
	e := newExporter(t, otlp.Config{Metrics: m, Process: true, Selection: all(t)})
	var before map[string]float64
	compared := 0
	for range 1000 {
		s := p.next(t)
		m.err = nil
		if p.IntN(3) == 0 {
			m.err = errDown
		}
		if err := e.Export(t.Context(), s); (err == nil) != (m.err == nil) {
			t.Fatal(err)
		}
		if m.err != nil {
			continue
		}
		now, want := values(s), map[string]float64{}
		for key, v := range now {
			old, known := before[key]
			if labelled := strings.Contains(key, "exporter="); before == nil || !known && !labelled {
				continue
			}
			if want[key] = v - old; v < old {
				want[key] = v
			}
		}
		if got := counters(m.last()); !reflect.DeepEqual(got, want) {
			t.Fatalf("tick %d:\n%v\nwant\n%v", p.tick, got, want)
		}
		before, compared = now, compared+len(want)
	}
	if compared < 10_000 {
		t.Errorf("%d deltas compared", compared)
	}
}

// values returns the counters of a snapshot by name and attributes.
func values(s *runtimeinfo.Snapshot) map[string]float64 {
	all := map[string]float64{}
	for p := range s.Points() {
		if p.Metric.Kind == runtimeinfo.KindCounter {
			var kvs []attribute.KeyValue
			for k, v := range p.Attrs() {
				kvs = append(kvs, attribute.String(k, v))
			}
			set := attribute.NewSet(kvs...)
			all[p.Metric.Name+" "+set.Encoded(attribute.DefaultEncoder())] = p.Number
		}
	}
	return all
}

// counters returns the monotonic sums of what was exported, likewise.
func counters(rm *metricdata.ResourceMetrics) map[string]float64 {
	all := map[string]float64{}
	for _, m := range rm.ScopeMetrics[0].Metrics {
		if sum, ok := m.Data.(metricdata.Sum[float64]); ok && sum.IsMonotonic {
			for _, p := range sum.DataPoints {
				all[m.Name+" "+p.Attributes.Encoded(attribute.DefaultEncoder())] = p.Value
			}
		}
	}
	return all
}

// TestChangesInPlaceDoNotReachTheNextExport changes what an exporter received, as the
// SDK permits exporters to do.
func TestChangesInPlaceDoNotReachTheNextExport(t *testing.T) {
	p, changed, unchanged := newProcess(3), &metrics{}, &metrics{}
	a, b := newExporter(t, otlp.Config{Metrics: changed}), newExporter(t, otlp.Config{Metrics: unchanged})
	for i := range 3 {
		s := p.next(t)
		for range 2 { // again, with the next sequence number
			if err := errors.Join(a.Export(t.Context(), s), b.Export(t.Context(), s)); err != nil {
				t.Fatal(err)
			}
			if got, want := changed.last().ScopeMetrics, unchanged.last().ScopeMetrics; !reflect.DeepEqual(got, want) {
				t.Fatalf("export %d:\n%+v\nwant\n%+v", i+1, got, want)
			}
			change(changed.last())
			s.Seq++
		}
	}
}

func change(rm *metricdata.ResourceMetrics) {
	for i := range rm.ScopeMetrics[0].Metrics {
		m := &rm.ScopeMetrics[0].Metrics[i]
		m.Name = "prefix." + m.Name
		switch data := m.Data.(type) {
		case metricdata.Sum[float64]:
			data.DataPoints[0] = metricdata.DataPoint[float64]{Attributes: attribute.NewSet(attribute.Bool("seen", true))}
			m.Data = metricdata.Gauge[float64]{}
		case metricdata.Histogram[float64]:
			data.DataPoints[0].BucketCounts[0] = 1e6
		}
	}
}
