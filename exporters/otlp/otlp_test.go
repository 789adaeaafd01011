// SPDX-License-Identifier: Apache-2.0

package otlp_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/log"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/exporttest"
	"github.com/gmpulse/gmpulse/exporters/otlp"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// metrics is a metric exporter that keeps what it receives.
type metrics struct {
	delta bool
	err   error
	got   []*metricdata.ResourceMetrics
	down  int
}

func (m *metrics) Temporality(sdkmetric.InstrumentKind) metricdata.Temporality {
	if m.delta {
		return metricdata.DeltaTemporality
	}
	return metricdata.CumulativeTemporality
}

func (*metrics) Aggregation(k sdkmetric.InstrumentKind) sdkmetric.Aggregation {
	return sdkmetric.DefaultAggregationSelector(k)
}

func (m *metrics) Export(ctx context.Context, rm *metricdata.ResourceMetrics) error {
	if m.err == nil {
		m.got = append(m.got, rm)
	}
	return errors.Join(m.err, ctx.Err())
}

func (*metrics) ForceFlush(context.Context) error { return nil }

func (m *metrics) Shutdown(context.Context) error {
	m.down++
	return nil
}

func (m *metrics) last() *metricdata.ResourceMetrics { return m.got[len(m.got)-1] }

// find returns the last data of a metric.
func (m *metrics) find(t *testing.T, name string) metricdata.Aggregation {
	t.Helper()
	for _, x := range m.last().ScopeMetrics[0].Metrics {
		if x.Name == name {
			return x.Data
		}
	}
	t.Fatalf("no metric %s", name)
	return nil
}

// logs is a log exporter that keeps what it receives.
type logs struct {
	err error
	got []sdklog.Record
}

func (l *logs) Export(ctx context.Context, rs []sdklog.Record) error {
	if l.err == nil {
		for _, r := range rs {
			l.got = append(l.got, r.Clone())
		}
	}
	return errors.Join(l.err, ctx.Err())
}

func (*logs) ForceFlush(context.Context) error { return nil }

func (*logs) Shutdown(context.Context) error { return nil }

func newExporter(t *testing.T, c otlp.Config) *otlp.Exporter {
	t.Helper()
	e, err := otlp.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// all returns the selection of every metric.
func all(t *testing.T) exporters.Selection {
	t.Helper()
	s, err := exporters.NewSelection("all")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestConformance(t *testing.T) {
	for name, delta := range map[string]bool{"cumulative": false, "delta": true} {
		t.Run(name, func(t *testing.T) {
			exporttest.Run(t, func(t *testing.T) exporters.Exporter {
				t.Helper()
				return newExporter(t, otlp.Config{Metrics: &metrics{delta: delta}, Logs: &logs{}, Process: true, Selection: all(t)})
			})
		})
	}
}

func TestNewNeedsAnExporter(t *testing.T) {
	if _, err := otlp.New(otlp.Config{}); err == nil || !strings.Contains(err.Error(), "Config.Metrics") {
		t.Errorf("%v", err)
	}
}

var errDown = errors.New("down")

// at returns a snapshot with a counter, an up-down counter and a histogram.
func at(second int, v float64, counts ...uint64) *runtimeinfo.Snapshot {
	counter := &runtimeinfo.Metric{Name: "c", Kind: runtimeinfo.KindCounter, Unit: "s"}
	series := &runtimeinfo.Metric{Name: "n", Kind: runtimeinfo.KindCounter, Keys: []string{"k"}}
	updown := &runtimeinfo.Metric{Name: "u", Kind: runtimeinfo.KindUpDownCounter}
	hist := &runtimeinfo.Metric{Name: "h", Kind: runtimeinfo.KindHistogram}
	points := []runtimeinfo.Point{
		{Metric: counter, Number: v, Exemplar: &runtimeinfo.Exemplar{TraceID: [16]byte{1}, SpanID: [8]byte{2}, Value: 1, Time: start.Add(10 * time.Second)}},
		{Metric: updown, Number: v},
		{Metric: hist, Histogram: &runtimeinfo.Histogram{Bounds: []float64{1}, Counts: counts, Sum: v}},
	}
	if second > 10 {
		points = append(points, runtimeinfo.Point{Metric: series, Labels: []string{"new"}, Number: 5})
	}
	s := runtimeinfo.NewSnapshot(points...)
	s.Seq, s.Start, s.Time = uint64(second), start, start.Add(time.Duration(second)*time.Second)
	return s
}

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func TestDeltas(t *testing.T) {
	m := &metrics{delta: true}
	e := newExporter(t, otlp.Config{Metrics: m})
	export := func(s *runtimeinfo.Snapshot, want error) {
		t.Helper()
		if err := e.Export(t.Context(), s); !errors.Is(err, want) {
			t.Fatalf("%v, want %v", err, want)
		}
	}
	export(at(9, 100, 10, 1), nil) // no baseline yet
	if n := len(m.find(t, "c").(metricdata.Sum[float64]).DataPoints); n != 0 {
		t.Errorf("%d points in the first export", n)
	}
	m.err = errDown
	export(at(10, 103, 11, 1), errDown)
	m.err = nil
	export(at(11, 107, 13, 2), nil) // includes what the failed call had
	want := func(v float64, from, count, n int) {
		t.Helper()
		c, u := m.find(t, "c").(metricdata.Sum[float64]), m.find(t, "u").(metricdata.Sum[float64])
		h, s := m.find(t, "h").(metricdata.Histogram[float64]), m.find(t, "n").(metricdata.Sum[float64])
		if !c.IsMonotonic || u.IsMonotonic || c.Temporality != metricdata.DeltaTemporality {
			t.Errorf("%+v, %+v", c, u)
		}
		if p := c.DataPoints[0]; p.Value != v || !p.StartTime.Equal(start.Add(time.Duration(from)*time.Second)) {
			t.Errorf("counter %+v", p)
		}
		if p := h.DataPoints[0]; p.Sum != v || int(p.Count) != count {
			t.Errorf("histogram %+v", p)
		}
		if p := s.DataPoints[0]; int(p.Value) != n {
			t.Errorf("series %+v", p)
		}
	}
	want(7, 9, 4, 5) // a new series with labels started at zero
	if x := m.find(t, "c").(metricdata.Sum[float64]).DataPoints[0].Exemplars; len(x) != 1 || x[0].TraceID[0] != 1 || x[0].SpanID[0] != 2 {
		t.Errorf("exemplars %+v", x)
	}
	calls := len(m.got)
	export(at(11, 107, 13, 2), nil)
	if len(m.got) != calls {
		t.Error("the same snapshot was sent twice")
	}
	export(at(12, 108, 13, 3), nil)
	want(1, 11, 1, 0)
	if x := m.find(t, "c").(metricdata.Sum[float64]).DataPoints[0].Exemplars; len(x) != 0 {
		t.Errorf("an exemplar older than the delta: %+v", x)
	}
	export(at(13, 2, 1, 0), nil) // the counter was reset
	want(2, 12, 1, 0)
}

func TestCumulative(t *testing.T) {
	m := &metrics{}
	e := newExporter(t, otlp.Config{Metrics: m})
	for i := range 3 {
		if err := e.Export(t.Context(), at(i+1, float64(i), uint64(i), 1)); err != nil {
			t.Fatal(err)
		}
	}
	c := m.find(t, "c").(metricdata.Sum[float64])
	if p := c.DataPoints[0]; p.Value != 2 || !p.StartTime.Equal(start) || c.Temporality != metricdata.CumulativeTemporality {
		t.Errorf("%+v", c)
	}
}

func TestProcessMetricsAreOptIn(t *testing.T) {
	for _, process := range []bool{false, true} {
		m := &metrics{}
		e := newExporter(t, otlp.Config{Metrics: m, Process: process})
		if err := e.Export(t.Context(), exporttest.Snapshot()); err != nil {
			t.Fatal(err)
		}
		found := 0
		for _, x := range m.got[0].ScopeMetrics[0].Metrics {
			if strings.HasPrefix(x.Name, "process.") {
				found++
			}
		}
		if (found > 0) != process {
			t.Errorf("process %v: %d metrics", process, found)
		}
	}
}

// An Exporter and a Producer send the default set, or the metrics of a selection.
func TestSelection(t *testing.T) {
	common, detail := &runtimeinfo.Metric{Name: "common", Kind: runtimeinfo.KindGauge}, &runtimeinfo.Metric{Name: "detail", Kind: runtimeinfo.KindGauge, Detail: true}
	s := runtimeinfo.NewSnapshot(runtimeinfo.Point{Metric: common, Number: 1}, runtimeinfo.Point{Metric: detail, Number: 1})
	for text, want := range map[string]string{"": "common", "all": "common detail", "detail": "detail"} {
		selection, err := exporters.NewSelection(text)
		if err != nil {
			t.Fatal(err)
		}
		m, p := &metrics{}, otlp.NewProducer(otlp.ProducerConfig{Selection: selection})
		if err := errors.Join(newExporter(t, otlp.Config{Metrics: m, Selection: selection}).Export(t.Context(), s), p.Export(t.Context(), s)); err != nil {
			t.Fatal(err)
		}
		produced, err := p.Produce(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, scopes := range [][]metricdata.ScopeMetrics{m.last().ScopeMetrics, produced} {
			var names []string
			for _, x := range scopes[0].Metrics {
				names = append(names, x.Name)
			}
			if got := strings.Join(names, " "); got != want {
				t.Errorf("%q: %s, want %s", text, got, want)
			}
		}
	}
}

func TestFailedSignalIsExportedAgain(t *testing.T) {
	m, l := &metrics{}, &logs{}
	e := newExporter(t, otlp.Config{Metrics: m, Logs: l})
	events := exporttest.Snapshot().WithEvents([]runtimeinfo.Event{exporttest.Event()})

	m.err = errDown
	if err := e.Export(t.Context(), events); !errors.Is(err, errDown) || len(l.got) != 0 {
		t.Errorf("%v, %d records", err, len(l.got))
	}
	m.err, l.err = nil, errDown
	if err := e.Export(t.Context(), events); !errors.Is(err, errDown) || len(m.got) != 1 {
		t.Errorf("%v, %d batches", err, len(m.got))
	}
	l.err = nil
	if err := e.Export(t.Context(), events); err != nil || len(m.got) != 1 || len(l.got) != 1 {
		t.Errorf("again: %v, %d batches, %d records", err, len(m.got), len(l.got))
	}
	for n, all := range map[int]bool{3: false, 100000: true} {
		m.err = fmt.Errorf("OTLP partial success: %s (%d %s rejected)", "too many", n, "metric data points")
		events := exporttest.Snapshot().WithEvents(events.Events)
		events.Seq += uint64(n)
		rejected, ok := errors.AsType[*exporters.RejectedError](e.Export(t.Context(), events))
		if !ok || rejected.Snapshot != all || rejected.Events != 0 {
			t.Errorf("%d rejected: %+v", n, rejected)
		}
	}
	if len(l.got) != 3 {
		t.Errorf("%d records", len(l.got))
	}
	for range 2 {
		if err := e.Shutdown(t.Context()); err != nil || m.down != 1 {
			t.Errorf("%v, %d shutdowns", err, m.down)
		}
	}
}

func TestEventsBecomeLogRecords(t *testing.T) {
	l := &logs{}
	e := newExporter(t, otlp.Config{Logs: l})
	event := exporttest.Event()
	event.Spans = append(event.Spans, exporttest.Snapshot().Spans[1])
	s := exporttest.Snapshot().WithEvents([]runtimeinfo.Event{event, {Severity: slog.LevelDebug - 100}, {Severity: slog.LevelError + 100}})
	if err := e.Export(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	r := l.got[0]
	attrs := map[string]attribute.Value{}
	r.WalkAttributes(func(kv attribute.KeyValue) bool {
		attrs[string(kv.Key)] = kv.Value
		return true
	})
	if r.EventName() != event.Name || r.Severity() != log.SeverityWarn || r.Body().AsString() != event.Message || !r.Timestamp().Equal(event.Time) {
		t.Errorf("%s %v %v", r.EventName(), r.Severity(), r.Timestamp())
	}
	if r.TraceID().String() != event.Spans[0].TraceIDString() || r.SpanID().String() != event.Spans[0].SpanIDString() {
		t.Errorf("ids %v %v", r.TraceID(), r.SpanID())
	}
	if attrs["from"].AsInt64() != 42 || attrs["confidence"].AsFloat64() != 0.99 || attrs["within"].AsFloat64() != 30 || attrs["site"].Type() != attribute.MAP || attrs["spans"].Type() != attribute.SLICE {
		t.Errorf("%v", attrs)
	}
	if v, _ := r.Resource().Set().Value("service.name"); v.AsString() != "checkout" || r.InstrumentationScope().Name != otlp.Scope {
		t.Errorf("resource %v, scope %v", r.Resource(), r.InstrumentationScope())
	}
	if low, high := l.got[1].Severity(), l.got[2].Severity(); low != log.SeverityTrace1 || high != log.SeverityFatal4 {
		t.Errorf("severities %v and %v", low, high)
	}
}

func ExampleNew() {
	var m sdkmetric.Exporter = &metrics{} // usually OTLP over gRPC
	e, err := otlp.New(otlp.Config{Metrics: m})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(e.Export(context.Background(), exporttest.Snapshot()))
	fmt.Println(m.(*metrics).got[0].ScopeMetrics[0].Metrics[0].Name)
	// Output:
	// <nil>
	// go.goroutine.count
}
