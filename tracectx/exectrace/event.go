// SPDX-License-Identifier: Apache-2.0

package exectrace

import (
	"cmp"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// NotifySlow sets who is told of each slow span that was looked into: an event
// "span.slow", and the recording that it is in. f is called on a goroutine of
// the Recorder's, one call at a time; the span is exported when it returns. Nil is nobody.
// The agent that the Recorder is given to sets it.
func (r *Recorder) NotifySlow(f func(e runtimeinfo.Event, recorded []byte)) {
	r.notify.Store(&f)
}

// tell calls what NotifySlow set, which is foreign code.
func (r *Recorder) tell(b *Breakdown, recorded []byte) {
	f := r.notify.Load()
	if f == nil || *f == nil {
		return
	}
	defer func() {
		if p := recover(); p != nil {
			r.config.Logger.Error("gmpulse: who is told of slow spans panicked", slog.Any("panic", p))
		}
	}()
	(*f)(slowEvent(b), recorded)
}

// slowEvent makes the event of a slow span.
func slowEvent(b *Breakdown) runtimeinfo.Event {
	attrs := []slog.Attr{slog.String("span.name", b.Name), slog.Float64("span.duration", b.Duration.Seconds())}
	for _, a := range Attributes(b, b.Duration) {
		switch a.Value.Type() {
		case attribute.FLOAT64:
			attrs = append(attrs, slog.Float64(string(a.Key), a.Value.AsFloat64()))
		default:
			attrs = append(attrs, slog.String(string(a.Key), a.Value.String()))
		}
	}
	return runtimeinfo.Event{
		Time: b.Start.Add(b.Duration), Name: "span.slow", Severity: slog.LevelInfo, Message: b.String(), Attrs: attrs,
		Spans: []runtimeinfo.Span{{TraceID: b.TraceID, SpanID: b.SpanID, Name: b.Name, Start: b.Start}},
	}
}

// String says in one line where the time went, most first: "GET /cart took 120ms:
// 100ms mutex, 15ms running, 5ms runnable; longest woken by ...".
func (b *Breakdown) String() string {
	type part struct {
		cause Cause
		time  time.Duration
	}
	var parts []part
	for c, d := range b.Self.All() {
		parts = append(parts, part{c, d})
	}
	slices.SortStableFunc(parts, func(x, y part) int { return cmp.Compare(y.time, x.time) })
	var texts []string
	for _, p := range parts {
		texts = append(texts, fmt.Sprintf("%v %v", p.time, p.cause))
	}
	s := fmt.Sprintf("%s took %v: %s", b.Name, b.Duration, strings.Join(texts, ", "))
	if len(b.Wakers) > 0 {
		s += "; longest wait: " + b.Wakers[0].String()
	}
	return s
}
