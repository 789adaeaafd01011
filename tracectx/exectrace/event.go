// SPDX-License-Identifier: Apache-2.0

package exectrace

import (
	"log/slog"

	"go.opentelemetry.io/otel/attribute"

	"github.com/gmpulse/gmpulse/internal/guard"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// maxSlowEvents is the number of events that wait for Analyze. One slow span is analyzed at a
// time, and an engine calls Analyze each second, so more come only if there is no engine. They
// are dropped; [Recorder.Analyze] counts the spans all the same.
const maxSlowEvents = 16

// NotifySlow sets the function that is called for each slow span that was analyzed,
// with an event "span.slow" and the recording. The calls run one at a time in a
// goroutine of the Recorder, which exports the span afterwards. nil removes the
// function. The agent that uses the Recorder sets it.
func (r *Recorder) NotifySlow(f func(e runtimeinfo.Event, recorded []byte)) {
	r.notify.Store(&f)
}

// notifySlow queues the event of a slow span for Analyze and calls the function of
// NotifySlow.
func (r *Recorder) notifySlow(b *Breakdown, recorded []byte) {
	e := slowEvent(b)
	select {
	case r.events <- e:
	default:
	}
	f := r.notify.Load()
	if f == nil || *f == nil {
		return
	}
	err := guard.Do(func() error {
		(*f)(e, recorded)
		return nil
	})
	if err != nil {
		r.config.Logger.Error("gmpulse: the function set by NotifySlow panicked", slog.Any("error", err))
	}
}

func slowEvent(b *Breakdown) runtimeinfo.Event {
	attrs := []slog.Attr{slog.String("span.name", b.Name), slog.Float64("span.duration", b.Duration.Seconds())}
	for _, a := range attributes(b, b.Duration) {
		if a.Value.Type() == attribute.FLOAT64 {
			attrs = append(attrs, slog.Float64(string(a.Key), a.Value.AsFloat64()))
			continue
		}
		attrs = append(attrs, slog.String(string(a.Key), a.Value.String()))
	}
	return runtimeinfo.Event{
		Time: b.Start.Add(b.Duration), Name: "span.slow", Severity: slog.LevelInfo, Message: b.String(), Attrs: attrs,
		Spans: []runtimeinfo.Span{{TraceID: b.TraceID, SpanID: b.SpanID, Name: b.Name, Start: b.Start}},
	}
}
