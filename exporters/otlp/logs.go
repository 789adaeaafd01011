// SPDX-License-Identifier: Apache-2.0

package otlp

import (
	"context"
	"log/slog"
	"maps"
	"math"
	"slices"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/log"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/trace"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/exporters/otlp/internal/identity"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// records returns the events of s as log records.
func records(ctx context.Context, r *resource.Resource, from instrumentation.Scope, s *runtimeinfo.Snapshot) []sdklog.Record {
	var all recordList
	logger := loggerOf(sdklog.NewLoggerProvider(
		sdklog.WithProcessor(&all), sdklog.WithResource(r), sdklog.WithAttributeCountLimit(-1)), from)
	for i := range s.Events {
		e := &s.Events[i]
		logger.Emit(withSpan(ctx, e), record(s, e))
	}
	return all
}

// recordList collects records. Only a logger of the SDK can set the resource and the
// scope of a record, so the records pass through one.
type recordList []sdklog.Record

var _ sdklog.Processor = (*recordList)(nil)

// OnEmit appends a copy of r.
func (l *recordList) OnEmit(_ context.Context, r *sdklog.Record) error {
	*l = append(*l, r.Clone())
	return nil
}

// Enabled returns true.
func (*recordList) Enabled(context.Context, sdklog.EnabledParameters) bool { return true }

// Shutdown does nothing.
func (*recordList) Shutdown(context.Context) error { return nil }

// ForceFlush does nothing.
func (*recordList) ForceFlush(context.Context) error { return nil }

func record(s *runtimeinfo.Snapshot, e *runtimeinfo.Event) (r log.Record) {
	r.SetEventName(identity.Valid(e.Name))
	r.SetTimestamp(e.Time)
	r.SetObservedTimestamp(s.Time)
	r.SetSeverity(severity(e.Severity))
	r.SetSeverityText(e.Severity.String())
	r.SetBody(attribute.StringValue(identity.Valid(e.Message)))
	for key, value := range exporters.EventRecord(s, e) {
		switch {
		case key == "attributes":
			if m, ok := value.(map[string]any); ok {
				r.AddAttributes(keyValues(m)...)
			}
		case key == "spans" && len(e.Spans) > 1:
			r.AddAttributes(attribute.KeyValue{Key: "spans", Value: valueOf(value)})
		}
	}
	return r
}

// withSpan returns a context with the first span of e, which the record refers to.
func withSpan(ctx context.Context, e *runtimeinfo.Event) context.Context {
	if len(e.Spans) == 0 {
		return ctx
	}
	return trace.ContextWithSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: e.Spans[0].TraceID, SpanID: e.Spans[0].SpanID, TraceFlags: trace.TraceFlags(0).WithSampled(e.Spans[0].Sampled),
	}))
}

// severity converts a slog level to OpenTelemetry's scale from 1 to 24. Both have
// the same distance between their named levels; info is 0 in slog and 9 in OpenTelemetry.
func severity(l slog.Level) log.Severity {
	return log.Severity(min(max(l, -8), 15) + slog.Level(log.SeverityInfo))
}

// keyValues returns the entries of m, sorted by key.
func keyValues(m map[string]any) []attribute.KeyValue {
	all := make([]attribute.KeyValue, 0, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		all = append(all, attribute.KeyValue{Key: attribute.Key(k), Value: valueOf(m[k])})
	}
	return all
}

// valueOf converts a value of an [exporters.EventRecord].
func valueOf(v any) attribute.Value {
	switch v := v.(type) {
	case bool:
		return attribute.BoolValue(v)
	case uint64:
		if v > math.MaxInt64 {
			return attribute.Float64Value(float64(v))
		}
		return attribute.Int64Value(int64(v))
	case float64:
		return attribute.Float64Value(v)
	case string:
		return attribute.StringValue(v)
	case map[string]any:
		return attribute.MapValue(keyValues(v)...)
	case []any:
		all := make([]attribute.Value, len(v))
		for i := range v {
			all[i] = valueOf(v[i])
		}
		return attribute.SliceValue(all...)
	default: // EventRecord has no other types
		return attribute.Value{}
	}
}
