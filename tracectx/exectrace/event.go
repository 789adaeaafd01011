// SPDX-License-Identifier: Apache-2.0

package exectrace

import (
	"log/slog"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"github.com/gmpulse/gmpulse/internal/guard"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

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
	r.events.add(e)
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

// slowEvents are the events of slow spans since the last Analyze. If there are too many,
// the oldest are dropped, and an event has their number.
type slowEvents struct {
	mu      sync.Mutex
	list    []runtimeinfo.Event
	dropped int
}

func (q *slowEvents) add(e runtimeinfo.Event) {
	const most = 16 // slow spans are looked into 30 s apart
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.list) == most {
		q.list = slices.Delete(q.list, 0, 1)
		q.dropped++
	}
	q.list = append(q.list, e)
}

// take empties the queue.
func (q *slowEvents) take(now time.Time) []runtimeinfo.Event {
	q.mu.Lock()
	defer q.mu.Unlock()
	list := q.list
	if q.dropped > 0 {
		list = append(list, runtimeinfo.Event{
			Time: now, Name: "recorder.events_dropped", Severity: slog.LevelWarn,
			Message: "more slow spans were looked into than an agent keeps events of",
			Attrs:   []slog.Attr{slog.Int("dropped", q.dropped)},
		})
	}
	q.list, q.dropped = nil, 0
	return list
}
