// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"strconv"
	"sync"

	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// A record is one line: a log record, a span, a data point of a metric, or a sample of a profile. Times are
// nanoseconds since 1970 as decimal strings, ids are hexadecimal, empty fields are
// omitted.
type record struct {
	Signal     string         `json:"signal"`           // "log", "span", "metric" or "profile"
	Source     string         `json:"source,omitempty"` // of a log: "otlp" or "fluent"
	Name       string         `json:"name,omitempty"`   // of a span, a metric, or the event that a log is
	Time       string         `json:"time,omitempty"`   // of a span: its end
	Start      string         `json:"start,omitempty"`
	TraceID    string         `json:"trace_id,omitempty"`
	SpanID     string         `json:"span_id,omitempty"`
	Attributes map[string]any `json:"attributes,omitempty"`
	Resource   map[string]any `json:"resource,omitempty"`
	Scope      string         `json:"scope,omitempty"`
	Schemas    []string       `json:"schemas,omitempty"` // schema URLs of the resource and the scope of a log or metric, if both have one

	Severity     int32  `json:"severity,omitempty"`
	SeverityText string `json:"severity_text,omitempty"`
	Body         any    `json:"body,omitempty"`

	ParentID string  `json:"parent_id,omitempty"`
	Dropped  uint32  `json:"dropped_attributes,omitempty"`
	Events   []event `json:"events,omitempty"`

	Unit        string     `json:"unit,omitempty"`
	Description string     `json:"description,omitempty"`
	Type        string     `json:"type,omitempty"` // "gauge", "sum", "histogram"
	Monotonic   bool       `json:"monotonic,omitempty"`
	Temporality string     `json:"temporality,omitempty"` // "cumulative" or "delta"
	Value       *float64   `json:"value,omitempty"`       // of a histogram: its sum
	Count       uint64     `json:"count,omitempty"`
	Bounds      []float64  `json:"bounds,omitempty"`
	Counts      []uint64   `json:"counts,omitempty"`
	Exemplars   []exemplar `json:"exemplars,omitempty"`

	// Of a sample of a profile: Name and Unit are the type of the sample, Start and Time the time of the
	// profile, TraceID and SpanID the link.
	Profile *profile `json:"profile,omitempty"`
}

type profile struct {
	ID         string            `json:"id"`
	Period     int64             `json:"period"`
	PeriodType string            `json:"period_type"` // "cpu/nanoseconds"
	Payload    string            `json:"payload"`     // format
	Attributes map[string]any    `json:"attributes"`  // of the profile
	Values     []int64           `json:"values"`
	Stack      []string          `json:"stack"` // "function file:line", innermost first
	Units      map[string]string `json:"units"` // of the attributes of the sample
}

type event struct {
	Name       string         `json:"name"`
	Time       string         `json:"time"`
	Attributes map[string]any `json:"attributes,omitempty"`
}

type exemplar struct {
	Value      float64        `json:"value"`
	Time       string         `json:"time"`
	TraceID    string         `json:"trace_id"`
	SpanID     string         `json:"span_id"`
	Attributes map[string]any `json:"attributes,omitempty"`
}

// writer writes records without buffering, so that acknowledged records are in the file
// even if the process is killed.
type writer struct {
	mu  sync.Mutex
	out *os.File
}

func (w *writer) write(r *record) error {
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	_, err = w.out.Write(append(line, '\n'))
	return err
}

// each calls f for every element of a pdata slice until f returns an error.
func each[T any](s interface {
	Len() int
	At(i int) T
}, f func(T) error,
) error {
	for i := range s.Len() {
		if err := f(s.At(i)); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) logs(source string) consumer.Logs {
	c, _ := consumer.NewLogs(func(_ context.Context, logs plog.Logs) error { // fails on nil only
		return each(logs.ResourceLogs(), func(rl plog.ResourceLogs) error {
			return each(rl.ScopeLogs(), func(sl plog.ScopeLogs) error {
				return each(sl.LogRecords(), func(l plog.LogRecord) error {
					return w.write(&record{
						Signal: "log", Source: source, Name: l.EventName(), Time: nanoseconds(l.Timestamp()),
						TraceID: l.TraceID().String(), SpanID: l.SpanID().String(),
						Attributes: raw(l.Attributes()), Resource: raw(rl.Resource().Attributes()), Scope: sl.Scope().Name(), Schemas: schemas(rl.SchemaUrl(), sl.SchemaUrl()),
						Severity: int32(l.SeverityNumber()), SeverityText: l.SeverityText(), Body: harmless(l.Body().AsRaw()),
					})
				})
			})
		})
	})
	return c
}

func (w *writer) traces() consumer.Traces {
	c, _ := consumer.NewTraces(func(_ context.Context, traces ptrace.Traces) error { // fails on nil only
		return each(traces.ResourceSpans(), func(rs ptrace.ResourceSpans) error {
			return each(rs.ScopeSpans(), func(ss ptrace.ScopeSpans) error {
				return each(ss.Spans(), func(s ptrace.Span) error {
					return w.write(spanRecord(s, rs, ss))
				})
			})
		})
	})
	return c
}

func spanRecord(s ptrace.Span, rs ptrace.ResourceSpans, ss ptrace.ScopeSpans) *record {
	r := &record{
		Signal: "span", Name: s.Name(), Start: nanoseconds(s.StartTimestamp()), Time: nanoseconds(s.EndTimestamp()),
		TraceID: s.TraceID().String(), SpanID: s.SpanID().String(), ParentID: s.ParentSpanID().String(),
		Attributes: raw(s.Attributes()), Resource: raw(rs.Resource().Attributes()), Scope: ss.Scope().Name(),
		Dropped: s.DroppedAttributesCount(),
	}
	for _, e := range s.Events().All() {
		r.Events = append(r.Events, event{e.Name(), nanoseconds(e.Timestamp()), raw(e.Attributes())})
	}
	return r
}

func (w *writer) metrics() consumer.Metrics {
	c, _ := consumer.NewMetrics(func(_ context.Context, metrics pmetric.Metrics) error { // fails on nil only
		return each(metrics.ResourceMetrics(), func(rm pmetric.ResourceMetrics) error {
			return each(rm.ScopeMetrics(), func(sm pmetric.ScopeMetrics) error {
				return each(sm.Metrics(), func(m pmetric.Metric) error {
					return w.points(m, record{
						Signal: "metric", Name: m.Name(), Unit: m.Unit(), Description: m.Description(),
						Resource: raw(rm.Resource().Attributes()), Scope: sm.Scope().Name(), Schemas: schemas(rm.SchemaUrl(), sm.SchemaUrl()),
					})
				})
			})
		})
	})
	return c
}

func schemas(resource, scope string) []string {
	if resource == "" || scope == "" {
		return nil
	}
	return []string{resource, scope}
}

// points writes a record for each data point. common has the fields of the metric.
func (w *writer) points(m pmetric.Metric, r record) error {
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		r.Type = "gauge"
		return each(m.Gauge().DataPoints(), func(p pmetric.NumberDataPoint) error { return w.number(p, r) })
	case pmetric.MetricTypeSum:
		r.Type, r.Monotonic, r.Temporality = "sum", m.Sum().IsMonotonic(), temporality(m.Sum().AggregationTemporality())
		return each(m.Sum().DataPoints(), func(p pmetric.NumberDataPoint) error { return w.number(p, r) })
	case pmetric.MetricTypeHistogram:
		r.Type, r.Temporality = "histogram", temporality(m.Histogram().AggregationTemporality())
		return each(m.Histogram().DataPoints(), func(p pmetric.HistogramDataPoint) error { return w.histogram(p, r) })
	default:
		r.Type = m.Type().String()
		return w.write(&r)
	}
}

func (w *writer) number(p pmetric.NumberDataPoint, r record) error {
	v := p.DoubleValue()
	if p.ValueType() == pmetric.NumberDataPointValueTypeInt {
		v = float64(p.IntValue())
	}
	r.Value = finite(v)
	r.Start, r.Time = nanoseconds(p.StartTimestamp()), nanoseconds(p.Timestamp())
	r.Attributes, r.Exemplars = raw(p.Attributes()), exemplars(p.Exemplars())
	return w.write(&r)
}

func (w *writer) histogram(p pmetric.HistogramDataPoint, r record) error {
	r.Value, r.Count = finite(p.Sum()), p.Count()
	r.Bounds, r.Counts = p.ExplicitBounds().AsRaw(), p.BucketCounts().AsRaw()
	r.Start, r.Time = nanoseconds(p.StartTimestamp()), nanoseconds(p.Timestamp())
	r.Attributes, r.Exemplars = raw(p.Attributes()), exemplars(p.Exemplars())
	return w.write(&r)
}

func exemplars(s pmetric.ExemplarSlice) (all []exemplar) {
	for _, e := range s.All() {
		v := e.DoubleValue()
		if e.ValueType() == pmetric.ExemplarValueTypeInt {
			v = float64(e.IntValue())
		}
		all = append(all, exemplar{v, nanoseconds(e.Timestamp()), e.TraceID().String(), e.SpanID().String(), raw(e.FilteredAttributes())})
	}
	return all
}

func temporality(t pmetric.AggregationTemporality) string {
	switch t {
	case pmetric.AggregationTemporalityCumulative:
		return "cumulative"
	case pmetric.AggregationTemporalityDelta:
		return "delta"
	default:
		return "unspecified"
	}
}

func nanoseconds(t pcommon.Timestamp) string { return strconv.FormatUint(uint64(t), 10) }

// finite returns nil for a number that JSON cannot represent.
func finite(v float64) *float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return &v
}

func raw(m pcommon.Map) map[string]any {
	all, _ := harmless(m.AsRaw()).(map[string]any)
	return all
}

// harmless replaces numbers that JSON cannot represent by their text.
func harmless(v any) any {
	switch v := v.(type) {
	case float64:
		if finite(v) == nil {
			return strconv.FormatFloat(v, 'g', -1, 64)
		}
	case map[string]any:
		for k := range v {
			v[k] = harmless(v[k])
		}
	case []any:
		for i := range v {
			v[i] = harmless(v[i])
		}
	}
	return v
}
