// SPDX-License-Identifier: Apache-2.0

package exporters

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// Log returns an Exporter that writes to a logger, for development and for services that collect
// only logs.
//
// For each snapshot it logs a record "runtime" at [slog.LevelInfo]. The record has the metrics
// with [runtimeinfo.Metric.Headline] set and without labels, under their keys and in their units. Its group "span"
// has the number of active spans in the snapshot, at most [runtimeinfo.MaxSpans], and the oldest
// of them with its age in seconds. For each event it logs a record at the severity of the event:
// the message of the record is the name of the event, and its attributes are the message,
// attributes and spans. Records have the time of the snapshot or event.
//
// A nil logger means [slog.Default], evaluated at each Export. Export returns the first error of
// the logger's handler, which a [slog.Logger] would ignore. The Exporter is safe for concurrent
// use if the handler is.
func Log(logger *slog.Logger) Exporter { return &logExporter{logger: logger} }

type logExporter struct {
	logger *slog.Logger // nil: slog.Default()
	shut   atomic.Bool
}

var _ Exporter = (*logExporter)(nil)

func (l *logExporter) Export(ctx context.Context, s *runtimeinfo.Snapshot) error {
	if l.shut.Load() {
		return ErrShutdown
	}
	h := cmp.Or(l.logger, slog.Default()).Handler()
	if err := handle(ctx, h, slog.LevelInfo, s.Time, "runtime", func() []slog.Attr { return summary(s) }); err != nil {
		return err
	}
	for i := range s.Events {
		e := &s.Events[i]
		if err := handle(ctx, h, e.Severity, e.Time, e.Name, func() []slog.Attr { return details(e) }); err != nil {
			return err
		}
	}
	return nil
}

func (l *logExporter) Shutdown(context.Context) error {
	l.shut.Store(true)
	return nil
}

// handle logs one record. It calls attrs only if the handler is enabled.
func handle(ctx context.Context, h slog.Handler, level slog.Level, at time.Time, msg string, attrs func() []slog.Attr) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !h.Enabled(ctx, level) {
		return nil
	}
	r := slog.NewRecord(at, level, msg, 0) // without a source location, which would always be this line
	r.AddAttrs(attrs()...)
	if err := h.Handle(ctx, r); err != nil {
		return fmt.Errorf("log: %w", err)
	}
	return nil
}

func summary(s *runtimeinfo.Snapshot) []slog.Attr {
	var attrs []slog.Attr
	for p := range s.Points() {
		if m := p.Metric; m.Headline && m.Keys == nil && p.Histogram == nil {
			attrs = append(attrs, slog.Attr{Key: m.Key(), Value: numberValue(p.Number)})
		}
	}
	spans := []slog.Attr{slog.Int("active", len(s.Spans))}
	if len(s.Spans) > 0 {
		spans = append(spans, oldest(&s.Spans[0], s.Time))
	}
	return append(attrs, slog.GroupAttrs("span", spans...))
}

func oldest(sp *runtimeinfo.Span, at time.Time) slog.Attr {
	return slog.GroupAttrs("oldest",
		slog.String("trace_id", sp.TraceIDString()),
		slog.String("span_id", sp.SpanIDString()),
		slog.String("name", sp.Name),
		slog.Float64("age", age(sp, at)),
	)
}

func details(e *runtimeinfo.Event) []slog.Attr {
	attrs := []slog.Attr{slog.String("message", e.Message)}
	if len(e.Attrs) > 0 {
		attrs = append(attrs, slog.GroupAttrs("attributes", e.Attrs...))
	}
	if len(e.Spans) > 0 {
		attrs = append(attrs, slog.Any("spans", spanMaps(e.Spans, e.Time)))
	}
	return attrs
}

// numberValue returns whole numbers as integers, because text handlers print a float64 of
// 268435456 as 2.68435456e+08.
func numberValue(f float64) slog.Value {
	const exact = 1 << 53 // float64 represents all integers up to here
	if i := int64(f); float64(i) == f && -exact < i && i < exact {
		return slog.Int64Value(i)
	}
	return slog.Float64Value(f)
}
