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
	sdklog "go.opentelemetry.io/otel/sdk/log"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/trace"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// events turns events into the SDK's log records. Only the SDK's own logger can
// give a record its resource and scope: this one leads to a slice.
type events struct {
	resource *resource.Resource
	logger   log.Logger
	out      []sdklog.Record
}

var _ sdklog.Processor = (*events)(nil)

// records returns the events of a snapshot; the slice is overwritten by the next call.
func (v *events) records(ctx context.Context, r *resource.Resource, s *runtimeinfo.Snapshot) []sdklog.Record {
	if v.logger == nil || v.resource != r {
		v.resource = r
		v.logger = sdklog.NewLoggerProvider(
			sdklog.WithProcessor(v), sdklog.WithResource(r), sdklog.WithAttributeCountLimit(-1)).Logger(Scope)
	}
	v.out = v.out[:0]
	for i := range s.Events {
		v.emit(ctx, s, &s.Events[i])
	}
	return v.out
}

// emit makes a record that belongs to the first of the event's spans.
func (v *events) emit(ctx context.Context, s *runtimeinfo.Snapshot, e *runtimeinfo.Event) {
	var r log.Record
	r.SetEventName(valid(e.Name))
	r.SetTimestamp(e.Time)
	r.SetObservedTimestamp(s.Time)
	r.SetSeverity(severity(e.Severity))
	r.SetSeverityText(e.Severity.String())
	r.SetBody(attribute.StringValue(valid(e.Message)))
	for key, value := range exporters.EventRecord(s, e) {
		switch {
		case key == "attributes":
			if m, ok := value.(map[string]any); ok {
				r.AddAttributes(pairs(m)...)
			}
		case key == "spans" && len(e.Spans) > 1:
			r.AddAttributes(attribute.KeyValue{Key: "spans", Value: valueOf(value)})
		}
	}
	if len(e.Spans) > 0 {
		ctx = trace.ContextWithSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{
			TraceID: e.Spans[0].TraceID, SpanID: e.Spans[0].SpanID, TraceFlags: trace.TraceFlags(0).WithSampled(e.Spans[0].Sampled),
		}))
	}
	v.logger.Emit(ctx, r)
}

// severity maps slog's levels, where info is 0, to OpenTelemetry's from 1 to 24,
// where it is 9. The steps are alike.
func severity(l slog.Level) log.Severity {
	return log.Severity(min(max(l, -8), 15) + slog.Level(log.SeverityInfo))
}

// pairs returns a map's entries, by key.
func pairs(m map[string]any) []attribute.KeyValue {
	all := make([]attribute.KeyValue, 0, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		all = append(all, attribute.KeyValue{Key: attribute.Key(k), Value: valueOf(m[k])})
	}
	return all
}

// valueOf turns a value as [exporters.EventRecord] has them into an attribute's.
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
		return attribute.MapValue(pairs(v)...)
	case []any:
		all := make([]attribute.Value, len(v))
		for i := range v {
			all[i] = valueOf(v[i])
		}
		return attribute.SliceValue(all...)
	default: // no such thing in a record
		return attribute.Value{}
	}
}

// OnEmit keeps a record.
func (v *events) OnEmit(_ context.Context, r *sdklog.Record) error {
	v.out = append(v.out, r.Clone())
	return nil
}

// Enabled is true: every event counts.
func (*events) Enabled(context.Context, sdklog.EnabledParameters) bool { return true }

// Shutdown does nothing.
func (*events) Shutdown(context.Context) error { return nil }

// ForceFlush does nothing.
func (*events) ForceFlush(context.Context) error { return nil }
