// SPDX-License-Identifier: Apache-2.0

package baseline

import (
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/gmpulse/gmpulse/internal/units"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// maxEventSpans is how many active spans an event has, the oldest first.
const maxEventSpans = 8

// openedEvent describes the leading signal in detail and lists the others.
func (i *incident) openedEvent(w *Watch) runtimeinfo.Event {
	t := i.opening[0]
	var also []string
	for _, part := range append(i.opening[1:len(i.opening):len(i.opening)], rising(w.trackers)...) {
		also = append(also, part.name+" "+ratio(part.value, part.unfold(part.fast.expected)))
	}
	message := t.explain(w)
	if len(also) > 0 {
		message += "; with " + strings.Join(also, ", ")
	}
	e := w.event("baseline.anomaly.opened", t.severity(), message, t)
	e.Attrs = append(e.Attrs, slog.String("also", strings.Join(also, ", ")))
	if grown := w.groups.largest(); len(grown) > 0 {
		var texts []string
		for _, g := range grown {
			texts = append(texts, fmt.Sprintf("%d more in %s at %s (%d)", g.by, g.wait, g.site, g.size))
		}
		e.Attrs = append(e.Attrs, slog.String("grown", strings.Join(texts, ", ")))
		e.Message += "; grown: " + texts[0]
	}
	for i := range w.input.snapshot.Spans {
		if s := w.input.snapshot.Spans[i]; (t.root == "" || s.Name == t.root) && len(e.Spans) < maxEventSpans {
			e.Spans = append(e.Spans, s)
		}
	}
	if e.Severity >= slog.LevelWarn {
		e.Incident = i.reported(w, t)
	}
	return e
}

// severity returns the severity of an anomaly. A breached ceiling is a warning. An unusual
// number of goroutines is not: the verdict on the group that has grown may be. In the first
// half hour too little is known for a warning.
func (t *tracker) severity() slog.Level {
	const minAge = 1800 // seconds
	switch {
	case t.cause == causeCeiling:
		return slog.LevelWarn
	case t.group == groupGoroutines || t.Fast.Age < minAge:
		return slog.LevelInfo
	default:
		return slog.LevelWarn
	}
}

// info returns an event that needs no attention.
func info(now time.Time, name, message string, attrs ...slog.Attr) runtimeinfo.Event {
	return runtimeinfo.Event{Time: now, Name: name, Severity: slog.LevelInfo, Message: message, Attrs: attrs}
}

func (i *incident) closedEvent(now time.Time) runtimeinfo.Event {
	var names []string
	for _, t := range i.parts {
		names = append(names, t.name)
	}
	lasted := now.Sub(i.began)
	return info(now, "baseline.anomaly.closed", fmt.Sprintf("%s: over after %v", i.leading.name, lasted.Round(time.Second)),
		slog.String("signal", i.leading.name), slog.String("parts", strings.Join(names, ", ")),
		slog.Time("since", i.began), slog.Duration("lasted", lasted))
}

func (t *tracker) normalEvent(now time.Time) runtimeinfo.Event {
	message := fmt.Sprintf("%s: %s for %v is the new normal", t.name, units.Format(t.value, t.unit), now.Sub(t.alarmBegan).Round(time.Second))
	return info(now, "baseline.new_normal", message,
		slog.String("signal", t.name), slog.Float64("value", t.value), slog.Time("since", t.alarmBegan))
}

func (t *tracker) rescaledEvent(now time.Time) runtimeinfo.Event {
	return info(now, "baseline.unit_changed", t.name+": the values have changed by the ratio of two units; the baseline is converted",
		slog.String("signal", t.name), slog.Float64("value", t.value))
}

// event returns an event about a signal, with its numbers as attributes.
func (w *Watch) event(name string, severity slog.Level, message string, t *tracker) runtimeinfo.Event {
	b := t.band(&w.input)
	high, of := t.seen()
	attrs := []slog.Attr{
		slog.String("signal", t.name),
		slog.String("unit", b.Unit),
		slog.Float64("value", t.value),
		slog.Float64("expected", b.Expected),
		slog.Float64("lower", b.Lower),
		slog.Float64("upper", b.Upper),
		slog.Int("seen", high),
		slog.Int("seen_of", of),
		slog.Time("since", t.alarmBegan),
		slog.String("view", t.reason()),
	}
	if load := w.loadOf(t); load.known {
		attrs = append(attrs, slog.Float64("load", load.value))
	}
	if t.root != "" {
		attrs = append(attrs, slog.String("root_span", t.root))
	}
	return runtimeinfo.Event{Time: w.input.now, Name: name, Severity: severity, Message: message, Attrs: attrs}
}

// seen returns how many of the earlier samples were as far from the expected value.
func (t *tracker) seen() (high, of int) {
	e, scale, r := &t.Fast, fastScale(), t.fast.residual
	if t.cause == causeCreep {
		e, scale, r = &t.Slow, slowScale(), t.slow.residual
	}
	return int(e.Seen.AtLeast(scale.rungOf(r))), int(e.Seen.N)
}

// reason describes the cause of an alarm.
func (t *tracker) reason() string {
	switch t.cause {
	case causeSudden:
		return "changed within seconds"
	case causeCreep:
		return "drifting for minutes"
	case causeRarity:
		return t.view.String()
	case causeCeiling:
		return "at its ceiling"
	case causeNone:
	}
	return ""
}

// explain describes an alarm in one sentence: the value, the expectation that it has exceeded, and why
// that is an alarm.
func (t *tracker) explain(w *Watch) string {
	b := t.band(&w.input)
	text := t.name + " " + units.Format(t.value, b.Unit)
	switch t.cause {
	case causeCreep:
		text += ", " + units.Format(t.unfold(t.slow.expected+t.slow.residual), b.Unit) + " on average over 15s"
	case causeRarity:
		text += ", " + units.Format(t.rareMean, b.Unit) + " on average over 1m"
	case causeCeiling:
		text += " has reached its ceiling of " + units.Format(t.ceiling, b.Unit)
	case causeSudden, causeNone:
	}
	if !t.fast.known {
		return text
	}
	bound, limit, far := "most", b.Upper, "high"
	if t.below {
		bound, limit, far = "least", b.Lower, "low"
	}
	if t.cause != causeCeiling {
		text += ", expected at " + bound + " " + units.Format(limit, b.Unit)
	}
	if load := w.loadOf(t); load.known {
		text += fmt.Sprintf(" at %.3g root spans/s", load.value)
	}
	high, of := t.seen()
	return text + fmt.Sprintf(", %s the usual %s, since %s (%d of %d samples were as %s; %s)",
		ratio(t.value, b.Expected), units.Format(b.Expected, b.Unit), t.alarmBegan.Format(time.TimeOnly), high, of, far, t.reason())
}

// ratio formats value / expected.
func ratio(value, expected float64) string {
	if r := value / expected; expected > 0 && r > 0 && r < 1000 {
		return strconv.FormatFloat(r, 'f', 1, 64) + "×"
	}
	return "far from"
}
