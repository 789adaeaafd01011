// SPDX-License-Identifier: Apache-2.0

package prom

import (
	"cmp"
	"encoding/hex"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/proto"

	"github.com/gmpulse/gmpulse/runtimeinfo"
	"github.com/gmpulse/gmpulse/runtimeinfo/sampler"
)

// constructed is a value made by the constructors of client_golang.
func constructed(t *testing.T, v *value) *dto.Metric {
	t.Helper()
	var m prometheus.Metric
	var err error
	all := []*runtimeinfo.Exemplar{v.Exemplar}
	switch v.Metric.Kind {
	case runtimeinfo.KindHistogram:
		buckets, n := map[float64]uint64{}, uint64(0)
		for i, bound := range v.Histogram.Bounds {
			n += v.Histogram.Counts[i]
			buckets[bound] = n
		}
		m, err = prometheus.NewConstHistogram(v.form.desc, v.Histogram.Count(), v.Histogram.Sum, buckets, v.Labels...)
		all = v.Histogram.Exemplars
	case runtimeinfo.KindCounter:
		m, err = prometheus.NewConstMetric(v.form.desc, prometheus.CounterValue, v.Number, v.Labels...)
	default:
		m, err = prometheus.NewConstMetric(v.form.desc, prometheus.GaugeValue, v.Number, v.Labels...)
		all = nil
	}
	if err != nil {
		t.Fatal(err)
	}
	var some []prometheus.Exemplar
	for _, x := range all {
		if x != nil {
			some = append(some, prometheus.Exemplar{Value: x.Value, Timestamp: x.Time, Labels: prometheus.Labels{
				"trace_id": hex.EncodeToString(x.TraceID[:]), "span_id": hex.EncodeToString(x.SpanID[:]), "relation": "concurrent",
			}})
		}
	}
	if some != nil {
		if m, err = prometheus.NewMetricWithExemplars(m, some...); err != nil {
			t.Fatal(err)
		}
	}
	return written(t, m)
}

// written is a metric as a registry has it, the labels of exemplars by name: there
// their order means nothing.
func written(t *testing.T, m prometheus.Metric) *dto.Metric {
	t.Helper()
	out := &dto.Metric{}
	if err := m.Write(out); err != nil {
		t.Fatal(err)
	}
	out = proto.Clone(out).(*dto.Metric)
	exemplars := []*dto.Exemplar{out.GetCounter().GetExemplar()}
	for _, b := range out.GetHistogram().GetBucket() {
		exemplars = append(exemplars, b.GetExemplar())
	}
	for _, x := range exemplars {
		slices.SortFunc(x.GetLabel(), func(a, b *dto.LabelPair) int { return cmp.Compare(a.GetName(), b.GetName()) })
	}
	return out
}

// TestRenderLikeClientGolang compares what a registry is given with what the
// constructors of client_golang make of the same: for every row of the catalogue,
// with labels in every order, and with and without exemplars.
func TestRenderLikeClientGolang(t *testing.T) {
	example := func(i byte) *runtimeinfo.Exemplar {
		return &runtimeinfo.Exemplar{TraceID: [16]byte{1, i / 2 % 3}, SpanID: [8]byte{2, i / 2 % 2}, Value: float64(i), Time: time.Unix(1_800_000_000, int64(i))}
	}
	rows := append(sampler.Catalogue(),
		&runtimeinfo.Metric{Name: "odd", Kind: runtimeinfo.KindCounter, Keys: []string{"z", "a", "m"}, Attr: runtimeinfo.Attr{Key: "k", Value: "v"}},
		&runtimeinfo.Metric{Name: "labelled.histogram", Kind: runtimeinfo.KindHistogram, Keys: []string{"b", "a"}},
	)
	var points []runtimeinfo.Point
	for i, m := range rows {
		for n := range 1 + 2*min(len(m.Keys), 1) {
			p := runtimeinfo.Point{Metric: m, Number: float64(i) + 0.5}
			for k := range m.Keys {
				p.Labels = append(p.Labels, string(rune('a'+n))+"\n\"\\ü"+string(rune('0'+k)))
			}
			switch m.Kind {
			case runtimeinfo.KindHistogram:
				p.Histogram = &runtimeinfo.Histogram{Bounds: []float64{0.5, 1.5, 2.5}, Counts: []uint64{3, 0, uint64(i), uint64(n)}, Sum: 7}
				if i%2 == 0 {
					p.Histogram.Exemplars = []*runtimeinfo.Exemplar{example(0), nil, example(2), example(3)}
				}
			case runtimeinfo.KindCounter:
				if i%2 == 0 {
					p.Exemplar = example(byte(i))
				}
			default:
			}
			points = append(points, p)
		}
	}
	s := runtimeinfo.NewSnapshot(points...)
	st := &state{snapshot: s, plan: newPlan(nil, s.Metrics())}
	values, skipped := st.choose(nil)
	if skipped != 0 || len(values) != len(points) {
		t.Fatalf("%d values of %d points, %d skipped", len(values), len(points), skipped)
	}
	samples := render(values)
	for i := range samples {
		if got, want := written(t, &samples[i]), constructed(t, &values[i]); !proto.Equal(got, want) {
			t.Errorf("%v:\n%v\nwant\n%v", samples[i].Desc(), got, want)
		}
	}
}

// TestRenderInBlocks: the values of a scrape are a few allocations, however many
// they are.
func TestRenderInBlocks(t *testing.T) {
	m := &runtimeinfo.Metric{Name: "n", Kind: runtimeinfo.KindGauge, Keys: []string{"k"}}
	var points []runtimeinfo.Point
	for i := range 1000 {
		points = append(points, runtimeinfo.Point{Metric: m, Labels: []string{string(rune(0x4e00 + i))}})
	}
	s := runtimeinfo.NewSnapshot(points...)
	st := &state{snapshot: s, plan: newPlan(nil, s.Metrics())}
	values, _ := st.choose(nil)
	if n := testing.AllocsPerRun(20, func() { render(values) }); n > 6 {
		t.Errorf("%v allocations for 1000 values", n)
	}
}
