// SPDX-License-Identifier: Apache-2.0

package otlphttp_test

import (
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/exporttest"
	"github.com/gmpulse/gmpulse/exporters/otlp"
	"github.com/gmpulse/gmpulse/exporters/otlp/otlphttp"
	"github.com/gmpulse/gmpulse/internal/catalogue"
	"github.com/gmpulse/gmpulse/internal/peers"
	"github.com/gmpulse/gmpulse/runtimeinfo"
	"github.com/gmpulse/gmpulse/tracectx"
)

func newExporter(t *testing.T, endpoint string, c otlphttp.Config) *otlp.Exporter {
	t.Helper()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
	e, err := otlphttp.New(t.Context(), c)
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
	exporttest.Run(t, func(t *testing.T) exporters.Exporter {
		t.Helper()
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/x-protobuf")
		}))
		t.Cleanup(server.Close)
		return newExporter(t, server.URL, otlphttp.Config{Process: true, Selection: all(t)})
	})
}

func TestNewRejectsOtherProtocols(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
	if _, err := otlphttp.New(t.Context(), otlphttp.Config{}); err == nil || !strings.Contains(err.Error(), "OTEL_EXPORTER_OTLP_PROTOCOL") {
		t.Errorf("%v", err)
	}
}

var trace1 = runtimeinfo.Exemplar{TraceID: [16]byte{0xab}, SpanID: [8]byte{0xcd}, Value: 1.5, Time: time.Unix(1_800_000_000, 0)}

// everything returns a snapshot with a value of every metric of the catalogue.
func everything(seq int) *runtimeinfo.Snapshot {
	var points []runtimeinfo.Point
	for i, m := range catalogue.All() {
		p := runtimeinfo.Point{Metric: m, Number: float64(i * seq)}
		for range m.Keys {
			p.Labels = append(p.Labels, "x")
		}
		switch m.Kind {
		case runtimeinfo.KindHistogram:
			p.Histogram = &runtimeinfo.Histogram{
				Bounds: []float64{1, 2}, Counts: []uint64{uint64(seq), 2, 3}, Sum: float64(i),
				Exemplars: []*runtimeinfo.Exemplar{nil, &trace1, nil},
			}
		case runtimeinfo.KindCounter:
			if m.Keys == nil {
				p.Exemplar = &trace1
			}
		default:
		}
		points = append(points, p)
	}
	s := runtimeinfo.NewSnapshot(points...)
	s.Seq, s.Start, s.Time = uint64(seq), time.Unix(1_800_000_000-60, 0), time.Unix(1_800_000_000+int64(seq), 0)
	s.Resource = []runtimeinfo.Attr{{Key: "service.name", Value: "conformance"}, {Key: "process.pid", Value: "42"}}
	return s
}

// TestCollectorReceivesEveryMetric sends the whole catalogue to the receiver of the
// OpenTelemetry Collector, as cumulative values and as deltas.
func TestCollectorReceivesEveryMetric(t *testing.T) {
	for _, temporality := range []string{"cumulative", "delta"} {
		t.Run(temporality, func(t *testing.T) {
			c := peers.StartCollector(t)
			t.Setenv("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", temporality)
			e := newExporter(t, "http://"+c.OTLPHTTP, otlphttp.Config{Process: true, Selection: all(t)})
			for seq := range 2 {
				if err := e.Export(t.Context(), everything(seq+1)); err != nil {
					t.Fatal(err)
				}
			}
			at := strconv.FormatInt(everything(2).Time.UnixNano(), 10)
			found := c.Await(t, len(catalogue.All()), func(r *peers.Record) bool { return r.Signal == "metric" && r.Time.String() == at })
			if len(found) != len(catalogue.All()) {
				t.Errorf("%d data points of %d metrics", len(found), len(catalogue.All()))
			}
			got := map[string]peers.Record{}
			for _, r := range found {
				got[id(r.Name, r.Attributes)] = r
			}
			for i, m := range catalogue.All() {
				attrs := map[string]any{}
				if m.Attr.Key != "" {
					attrs[m.Attr.Key] = m.Attr.Value
				}
				for _, k := range m.Keys {
					attrs[k] = "x"
				}
				r, ok := got[id(m.Name, attrs)]
				if !ok {
					t.Errorf("%s did not arrive", m.Key())
					continue
				}
				checkPoint(t, m, &r, float64(i), temporality == "delta")
			}
		})
	}
}

func id(name string, attrs map[string]any) string {
	all := []string{name}
	for _, k := range slices.Sorted(maps.Keys(attrs)) {
		all = append(all, k, attrs[k].(string))
	}
	return strings.Join(all, " ")
}

// checkPoint compares what arrived with the i-th metric.
func checkPoint(t *testing.T, m *runtimeinfo.Metric, r *peers.Record, i float64, delta bool) {
	t.Helper()
	kind, temporality, monotonic, exemplars := "gauge", "", false, 0
	value := 2 * i
	switch m.Kind {
	case runtimeinfo.KindCounter:
		kind, temporality, monotonic = "sum", "cumulative", true
		if m.Keys == nil {
			exemplars = 1
		}
		if delta {
			temporality, value = "delta", i
			exemplars = 0 // the exemplar is older than the delta
		}
	case runtimeinfo.KindUpDownCounter: // cumulative with the preference "delta" too
		kind, temporality = "sum", "cumulative"
	case runtimeinfo.KindHistogram:
		kind, temporality, value, exemplars = "histogram", "cumulative", i, 1
		if delta {
			temporality, value, exemplars = "delta", 0, 0
		}
		if want := (map[bool]uint64{false: 7, true: 1})[delta]; r.Count != want || !slices.Equal(r.Bounds, []float64{1, 2}) {
			t.Errorf("%s: %d observations, want %d; bounds %v", m.Key(), r.Count, want, r.Bounds)
		}
	default:
	}
	if r.Unit != m.Unit || r.Description != m.Help || r.Type != kind || r.Temporality != temporality || r.Monotonic != monotonic {
		t.Errorf("%s (%v): %q %q %s %s monotonic %v", m.Key(), m.Kind, r.Unit, r.Description, r.Type, r.Temporality, r.Monotonic)
	}
	if r.Value == nil || *r.Value != value || r.Scope != otlp.Scope || r.Resource["service.name"] != "conformance" {
		t.Errorf("%s: value %v, want %v; scope %q", m.Key(), r.Value, value, r.Scope)
	}
	if want := []string{semconv.SchemaURL, semconv.SchemaURL}; r.Resource["process.pid"] != 42. || !slices.Equal(r.Schemas, want) {
		t.Errorf("%s: process.pid %v, schemas %v", m.Key(), r.Resource["process.pid"], r.Schemas)
	}
	if len(r.Exemplars) != exemplars {
		t.Errorf("%s: %d exemplars, want %d", m.Key(), len(r.Exemplars), exemplars)
	}
	for _, x := range r.Exemplars {
		if x.TraceID[:4] != "ab00" || x.SpanID[:4] != "cd00" || x.Attributes["relation"] != "concurrent" || x.Value != 1.5 {
			t.Errorf("%s: %+v", m.Key(), x)
		}
	}
}

func TestCollectorReceivesEvents(t *testing.T) {
	c := peers.StartCollector(t)
	e := newExporter(t, "http://"+c.OTLPHTTP, otlphttp.Config{})
	event := exporttest.Event()
	if err := e.Export(t.Context(), exporttest.Snapshot().WithEvents([]runtimeinfo.Event{event})); err != nil {
		t.Fatal(err)
	}
	r := c.Await(t, 1, func(r *peers.Record) bool { return r.Signal == "log" })[0]
	site, _ := r.Attributes["site"].(map[string]any)
	if r.Name != event.Name || r.Body != event.Message || r.SeverityText != slog.LevelWarn.String() || r.Severity != 13 ||
		r.TraceID != event.Spans[0].TraceIDString() || r.SpanID != event.Spans[0].SpanIDString() ||
		r.Attributes["from"] != 42. || site["function"] != "main.(*pool).submit" || r.Resource["service.version"] != "1.4.2" {
		t.Errorf("%+v", r)
	}
}

// TestCollectorReceivesFromTheApplicationsProviders sends metrics and events through a
// MeterProvider and a LoggerProvider that have a resource of their own.
func TestCollectorReceivesFromTheApplicationsProviders(t *testing.T) {
	c := peers.StartCollector(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+c.OTLPHTTP)
	metrics, err := otlpmetrichttp.New(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	logs, err := otlploghttp.New(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	own := resource.NewSchemaless(attribute.String("service.name", "shop"))
	p := otlp.NewProducer(otlp.ProducerConfig{})
	mp := sdkmetric.NewMeterProvider(sdkmetric.WithResource(own),
		sdkmetric.WithReader(sdkmetric.NewPeriodicReader(metrics, sdkmetric.WithInterval(time.Hour), sdkmetric.WithProducer(p))))
	lp := sdklog.NewLoggerProvider(sdklog.WithResource(own), sdklog.WithProcessor(sdklog.NewBatchProcessor(logs)))
	e, err := otlp.New(otlp.Config{LoggerProvider: lp})
	if err != nil {
		t.Fatal(err)
	}
	event := exporttest.Event()
	s := exporttest.Snapshot().WithEvents([]runtimeinfo.Event{event})
	if err := errors.Join(p.Export(t.Context(), s), e.Export(t.Context(), s), mp.ForceFlush(t.Context()), lp.ForceFlush(t.Context())); err != nil {
		t.Fatal(err)
	}
	m := c.Await(t, 1, func(r *peers.Record) bool { return r.Signal == "metric" && r.Name == "go.goroutine.count" })[0]
	want, _ := s.Number("go.goroutine.count")
	if m.Value == nil || *m.Value != want || m.Scope != otlp.Scope || m.Resource["service.name"] != "shop" {
		t.Errorf("%+v", m)
	}
	l := c.Await(t, 1, func(r *peers.Record) bool { return r.Signal == "log" })[0]
	if l.Name != event.Name || l.Severity != 13 || l.TraceID != event.Spans[0].TraceIDString() || l.Attributes["from"] != 42. ||
		l.Scope != otlp.Scope || l.Resource["service.name"] != "shop" {
		t.Errorf("%+v", l)
	}
	if err := errors.Join(mp.Shutdown(t.Context()), lp.Shutdown(t.Context())); err != nil {
		t.Error(err)
	}
}

// TestCollectorReceivesEnrichedSpans sends gmpulse.process.* attributes through the SDK's
// batch processor and its OTLP exporter.
func TestCollectorReceivesEnrichedSpans(t *testing.T) {
	c := peers.StartCollector(t)
	h := tracectx.NewHistory(0)
	now := time.Now()
	for i := range 5 {
		s := everything(i + 1)
		s.Time = now.Add(time.Duration(i-6) * time.Second)
		h.Add(s)
	}
	x, err := otlptracehttp.New(t.Context(), otlptracehttp.WithEndpoint(c.OTLPHTTP), otlptracehttp.WithInsecure())
	if err != nil {
		t.Fatal(err)
	}
	tp := sdktrace.NewTracerProvider(sdktrace.WithBatcher(tracectx.WrapExporter(x, tracectx.Enrichment{History: h})))
	_, span := tp.Tracer("").Start(t.Context(), "GET /", trace.WithTimestamp(now.Add(-4500*time.Millisecond)))
	span.End(trace.WithTimestamp(now.Add(-1500 * time.Millisecond)))
	if err := tp.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := c.Await(t, 1, func(r *peers.Record) bool { return r.Signal == "span" })[0]
	if r.Attributes["gmpulse.process.during.ticks"] != 3. || r.Attributes["gmpulse.process.during.active_spans"] == nil || r.Attributes["gmpulse.process.at_start.goroutine.count"] == nil {
		t.Errorf("%+v", r)
	}
}
