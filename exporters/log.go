// SPDX-License-Identifier: Apache-2.0

package exporters

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/gmpulse/gmpulse/exporters/internal/flat"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// Log returns an Exporter that writes to a logger: for development, and for
// services whose logs are all that is collected.
//
// For each snapshot it logs one record "runtime" at [slog.LevelInfo] with the
// headline metrics ([runtimeinfo.Metric.Headline]) under their keys, in their
// units, and, in the group "span", how many spans are named as active (at most
// [runtimeinfo.MaxSpans]) and which of them is the oldest, its age in seconds.
// For each event it logs one record at the severity of the event: its name is
// the message of the record, its sentence, attributes and spans are attributes.
// Records bear the time of the snapshot or event.
//
// A nil logger means [slog.Default], asked anew at each Export, as programs tend
// to set it after the agent was started. Export returns the first error of the
// logger's handler, which a [slog.Logger] would drop, and logs nothing about it
// itself. It costs what the handler costs. The Exporter may be used by
// several goroutines if the handler may, as those of log/slog may.
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
	h := l.handler()
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

func (l *logExporter) handler() slog.Handler {
	if l.logger == nil {
		return slog.Default().Handler()
	}
	return l.logger.Handler()
}

// handle logs one record, with attributes that are made only if it is wanted.
func handle(ctx context.Context, h slog.Handler, level slog.Level, at time.Time, msg string, attrs func() []slog.Attr) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !h.Enabled(ctx, level) {
		return nil
	}
	r := slog.NewRecord(at, level, msg, 0) // no source line: it would always be this one
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
		slog.Float64("age", flat.Age(sp, at)),
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

// numberValue makes whole numbers integers: text handlers print a float64 of
// 268435456 as 2.68435456e+08, which nobody can read as a size.
func numberValue(f float64) slog.Value {
	const exact = 1 << 53 // up to here float64 holds every integer
	if i := int64(f); float64(i) == f && -exact < i && i < exact {
		return slog.Int64Value(i)
	}
	return slog.Float64Value(f)
}
