// SPDX-License-Identifier: Apache-2.0

package baseline

import (
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// maxEventSpans is how many spans in flight an event names, the oldest first.
const maxEventSpans = 8

// openedEvent tells of what is opening: the leading signal in numbers, the others as text.
func (i *incident) openedEvent(w *Watch) runtimeinfo.Event {
	t := i.opening[0]
	var also []string
	for _, part := range append(i.opening[1:len(i.opening):len(i.opening)], rising(w.trackers)...) {
		also = append(also, part.briefly())
	}
	message := t.explain(w)
	if len(also) > 0 {
		message += "; with " + strings.Join(also, ", ")
	}
	e := w.event("baseline.anomaly.opened", t.severity(), message, t)
	e.Attrs = append(e.Attrs, slog.String("also", strings.Join(also, ", ")))
	if grown := w.groups.growth(); len(grown) > 0 {
		var texts []string
		for _, g := range grown {
			texts = append(texts, fmt.Sprintf("%d more in %s at %s (%d)", g.by, g.Wait, g.Site, g.Goroutines))
		}
		e.Attrs = append(e.Attrs, slog.String("grown", strings.Join(texts, ", ")))
		e.Message += "; grown: " + texts[0]
	}
	e.Spans = w.inFlight(t.root)
	return e
}

// severity returns that of an anomaly. A number of goroutines that is unusual is no
// alarm: the verdict on the group that grew is, once it is known what its members do. And
// what was learned for less than half an hour says little about what is usual. A ceiling
// that the user has set is an alarm at any time.
func (t *tracker) severity() slog.Level {
	const enough = 1800 // samples, one a second
	switch {
	case t.cause == byCeiling:
		return slog.LevelWarn
	case t.group == groupGoroutines || t.Fast.Age < enough:
		return slog.LevelInfo
	default:
		return slog.LevelWarn
	}
}

func (i *incident) closedEvent(now time.Time) runtimeinfo.Event {
	var names []string
	for _, t := range i.parts {
		names = append(names, t.name)
	}
	lasted := now.Sub(i.began)
	return runtimeinfo.Event{
		Time: now, Name: "baseline.anomaly.closed", Severity: slog.LevelInfo,
		Message: fmt.Sprintf("%s: over after %v", i.leading.name, lasted.Round(time.Second)),
		Attrs: []slog.Attr{
			slog.String("signal", i.leading.name),
			slog.String("parts", strings.Join(names, ", ")),
			slog.Time("since", i.began),
			slog.Duration("lasted", lasted),
		},
	}
}

// normalEvent tells that the level of an alarm is the new usual.
func (t *tracker) normalEvent(now time.Time) runtimeinfo.Event {
	return runtimeinfo.Event{
		Time: now, Name: "baseline.new_normal", Severity: slog.LevelInfo,
		Message: fmt.Sprintf("%s: %s for %v is the new normal", t.name, format(t.value, t.unit), now.Sub(t.alarmBegan).Round(time.Second)),
		Attrs:   []slog.Attr{slog.String("signal", t.name), slog.Float64("value", t.value), slog.Time("since", t.alarmBegan)},
	}
}

func (t *tracker) rescaledEvent(now time.Time) runtimeinfo.Event {
	return runtimeinfo.Event{
		Time: now, Name: "baseline.unit_changed", Severity: slog.LevelInfo,
		Message: t.name + ": all at once a round factor away and otherwise the same: taken for a change of unit",
		Attrs:   []slog.Attr{slog.String("signal", t.name), slog.Float64("value", t.value)},
	}
}

// event makes one about a signal, with its numbers as attributes.
func (w *Watch) event(name string, severity slog.Level, message string, t *tracker) runtimeinfo.Event {
	b := t.asBand(&w.look)
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
		slog.String("view", t.because()),
	}
	if w.load.known {
		attrs = append(attrs, slog.Float64("load", w.load.value))
	}
	if t.root != "" {
		attrs = append(attrs, slog.String("root_span", t.root))
	}
	return runtimeinfo.Event{Time: w.look.now, Name: name, Severity: severity, Message: message, Attrs: attrs}
}

// seen is how many samples of the past were as far from what was expected, of how many.
func (t *tracker) seen() (high, of int) {
	e, p, r := &t.Fast, fastPace(), t.opinion.residual
	if t.cause == byCreeping {
		e, p, r = &t.Slow, slowPace(), t.slowly.residual
	}
	return int(e.Seen.atLeast(p.place(r))), int(e.Seen.N)
}

// because says in words which view the alarm goes by.
func (t *tracker) because() string {
	switch t.cause {
	case bySudden:
		return "it has changed within seconds"
	case byCreeping:
		return "it has been creeping away for minutes"
	case byRarity:
		return t.view.String()
	case byCeiling:
		return "it has reached its ceiling"
	case byNothing:
		return ""
	default:
		return ""
	}
}

// explain says it in one sentence.
func (t *tracker) explain(w *Watch) string {
	b := t.asBand(&w.look)
	var s strings.Builder
	fmt.Fprintf(&s, "%s %s", t.name, format(t.value, b.Unit))
	if t.cause == byCeiling {
		fmt.Fprintf(&s, " has reached its ceiling of %s", format(t.ceiling, b.Unit))
	}
	if t.opinion.known {
		expected := b.Expected
		if t.cause == byCreeping {
			expected = t.unfold(t.slowly.expected)
		}
		fmt.Fprintf(&s, ", %s the %s expected", times(t.value, expected), format(expected, b.Unit))
		if w.load.known {
			fmt.Fprintf(&s, " at %.3g root spans/s", w.load.value)
		}
		high, of := t.seen()
		fmt.Fprintf(&s, ", since %s (usual %s to %s; %d of %d samples as far out; %s)",
			t.alarmBegan.Format(time.TimeOnly), format(b.Lower, b.Unit), format(b.Upper, b.Unit), high, of, t.because())
	}
	return s.String()
}

// briefly names a part of an incident.
func (t *tracker) briefly() string {
	return t.name + " " + times(t.value, t.unfold(t.opinion.expected))
}

// times says how many times what was expected a value is.
func times(value, expected float64) string {
	if ratio := value / expected; expected > 0 && ratio > 0 && ratio < 1000 {
		return strconv.FormatFloat(ratio, 'f', 1, 64) + "×"
	}
	return "far from"
}

// inFlight returns the oldest active spans of one root, or of all.
func (w *Watch) inFlight(root string) (spans []runtimeinfo.Span) {
	for i := range w.look.snapshot.Spans {
		if s := w.look.snapshot.Spans[i]; (root == "" || s.Name == root) && len(spans) < maxEventSpans {
			spans = append(spans, s)
		}
	}
	return spans
}

// format writes a value for people.
func format(v float64, unit string) string {
	switch unit {
	case "s":
		return short(time.Duration(v * float64(time.Second))).String()
	case "1":
		return strconv.FormatFloat(100*v, 'g', 3, 64) + " %"
	case "By":
		for _, u := range [...]struct {
			name string
			size float64
		}{{"GB", 1e9}, {"MB", 1e6}, {"KB", 1e3}} {
			if v >= u.size {
				return strconv.FormatFloat(v/u.size, 'g', 3, 64) + " " + u.name
			}
		}
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}

// short rounds a duration to three digits or so.
func short(d time.Duration) time.Duration {
	for unit := time.Hour; unit >= time.Microsecond; unit /= 10 {
		if d >= 100*unit {
			return d.Round(unit)
		}
	}
	return d.Round(time.Microsecond / 10)
}
