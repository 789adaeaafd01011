// SPDX-License-Identifier: Apache-2.0

package otlp_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/gmpulse/gmpulse/exporters/otlp"
	"github.com/gmpulse/gmpulse/runtimeinfo"
	"github.com/gmpulse/gmpulse/runtimeinfo/host"
	"github.com/gmpulse/gmpulse/runtimeinfo/sampler"
)

// life is a process whose values come and go, in any order of labels.
type life struct {
	*rand.Rand
	reader   *sampler.Reader
	tick     int
	gauges   int
	exported map[string]uint64 // by exporter: they count, and begin anew when they are new
}

func newLife(seed uint64) *life {
	return &life{Rand: rand.New(rand.NewPCG(seed, seed)), reader: sampler.NewReader(sampler.Config{}), exported: map[string]uint64{}}
}

func (l *life) next(t *testing.T) *runtimeinfo.Snapshot {
	t.Helper()
	l.tick++
	if l.IntN(20) == 0 {
		if _, err := l.reader.AddGauge(fmt.Sprintf("own.%d", l.gauges), "1", "One of ours."); err != nil {
			t.Fatal(err)
		}
		l.gauges++
	}
	tick := sampler.Tick{Time: start.Add(time.Duration(l.tick) * time.Second), Host: host.NewSample()}
	for range l.gauges {
		tick.Gauges = append(tick.Gauges, []float64{math.NaN(), l.Float64()}[l.IntN(2)])
	}
	for f := range host.NumFields {
		if l.IntN(4) > 0 {
			tick.Host.Set(host.Field(f), float64(l.IntN(1000)))
		}
	}
	for _, i := range l.Perm(6)[:l.IntN(6)] {
		name := string(rune('a' + i))
		l.exported[name] += uint64(l.IntN(10))
		tick.Self.Exporters = append(tick.Self.Exporters, runtimeinfo.ExporterStats{Name: name, Errors: l.exported[name]})
	}
	if l.IntN(3) > 0 {
		s := runtimeinfo.Span{TraceID: [16]byte{byte(l.tick)}, SpanID: [8]byte{1}, Name: "GET /", Start: tick.Time, Sampled: true}
		tick.Spans = &runtimeinfo.SpanActivity{Active: []runtimeinfo.Span{s}, Groups: []runtimeinfo.SpanGroup{{Name: "GET /", Active: l.IntN(9)}}}
	}
	l.reader.Read(tick)
	return l.reader.Snapshot()
}

// TestReuse: what an Exporter that has seen a thousand snapshots makes of one is
// what a new one makes of it.
func TestReuse(t *testing.T) {
	l, m := newLife(1), &metrics{}
	old := newExporter(t, otlp.Config{Metrics: m, Process: true})
	for range 1000 {
		s := l.next(t)
		fresh := &metrics{}
		if err := old.Export(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		if err := newExporter(t, otlp.Config{Metrics: fresh, Process: true}).Export(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		if got, want := m.got[len(m.got)-1].ScopeMetrics, fresh.got[0].ScopeMetrics; !reflect.DeepEqual(got, want) {
			t.Fatalf("tick %d:\n%+v\nwant\n%+v", l.tick, got, want)
		}
	}
}

// TestDeltasOfALife compares deltas, some of which are not delivered, with those
// of a map of all values delivered last.
func TestDeltasOfALife(t *testing.T) {
	l, m := newLife(2), &metrics{delta: true}
	e := newExporter(t, otlp.Config{Metrics: m, Process: true})
	var before map[string]float64
	compared := 0
	for range 1000 {
		s := l.next(t)
		m.err = nil
		if l.IntN(3) == 0 {
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
		if got := counters(m.got[len(m.got)-1]); !reflect.DeepEqual(got, want) {
			t.Fatalf("tick %d:\n%v\nwant\n%v", l.tick, got, want)
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

// counters is values for what was sent.
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

// decorator changes what it is given in place, as the SDK lets it.
type decorator struct{ metrics }

func (d *decorator) Export(ctx context.Context, rm *metricdata.ResourceMetrics) error {
	err := d.metrics.Export(ctx, rm)
	for i := range rm.ScopeMetrics[0].Metrics {
		m := &rm.ScopeMetrics[0].Metrics[i]
		m.Name = "prefix." + m.Name
		if data, ok := m.Data.(metricdata.Sum[float64]); ok {
			data.DataPoints[0] = metricdata.DataPoint[float64]{Attributes: attribute.NewSet(attribute.Bool("seen", true))}
			m.Data = metricdata.Gauge[float64]{}
		}
	}
	return err
}

// TestDecorator: changes in place do not reach the next Export.
func TestDecorator(t *testing.T) {
	l, d, plain := newLife(3), &decorator{}, &metrics{}
	decorated, e := newExporter(t, otlp.Config{Metrics: d}), newExporter(t, otlp.Config{Metrics: plain})
	for range 3 {
		s := l.next(t)
		if err := decorated.Export(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		if err := e.Export(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	if !reflect.DeepEqual(d.got[2].ScopeMetrics, plain.got[2].ScopeMetrics) {
		t.Errorf("%+v\nwant\n%+v", d.got[2].ScopeMetrics, plain.got[2].ScopeMetrics)
	}
}
