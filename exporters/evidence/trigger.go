// SPDX-License-Identifier: Apache-2.0

package evidence

import (
	"cmp"
	"log/slog"
	"slices"
	"strconv"
	"strings"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// Trigger is a reason to create a bundle.
type Trigger struct {
	// Cause identifies the incident. The cooldown applies to triggers with the same cause.
	Cause string
	// Reason describes the incident in one sentence.
	Reason string
	// Size is the size of the incident in any unit, such as a number of goroutines. If it
	// is twice the size at the last bundle, the cooldown does not apply. Zero means unknown.
	Size float64
	// CPU adds a CPU profile to the bundle.
	CPU bool
	// Minor marks frequent incidents, such as slow spans. They get at most half of the
	// bundles per hour.
	Minor bool
	// Event is the event that describes the incident. It may be nil.
	Event *runtimeinfo.Event
	// Trace is an execution trace of the incident. If it is nil, the Store uses
	// Config.Trace.
	Trace []byte

	also  []string // other causes at the same time, whose cooldown begins too
	first bool     // the first trigger of its incident
}

// triggerFor returns a trigger for the most severe of the serious events. ok is false if there
// is none.
func triggerFor(events []runtimeinfo.Event) (t Trigger, ok bool) {
	for i := range events {
		e := &events[i]
		if !serious(e) {
			continue
		}
		next := triggerOf(e)
		switch {
		case !ok:
			t, ok = next, true
		case e.Severity > t.Event.Severity:
			next.also, next.CPU = append(t.also, t.Cause), next.CPU || t.CPU
			t = next
		default:
			t.also, t.CPU = append(t.also, next.Cause), next.CPU || t.CPU
		}
	}
	return t, ok
}

// serious reports whether an event triggers a bundle.
func serious(e *runtimeinfo.Event) bool {
	return e.Severity >= slog.LevelWarn &&
		(strings.HasPrefix(e.Name, "goroutine.verdict.") || strings.HasPrefix(e.Name, "baseline.anomaly."))
}

// triggerOf returns the trigger for one event. The last word of the event's name, such as
// "opened" or "doubled", is the stage of the incident and not part of the cause.
func triggerOf(e *runtimeinfo.Event) Trigger {
	attrs := map[string]string{}
	for _, a := range e.Attrs {
		attrs[a.Key] = a.Value.String()
	}
	what := e.Name[:max(0, strings.LastIndexByte(e.Name, '.'))]
	where := cmp.Or(attrs["signal"], attrs["site"])
	size, _ := strconv.ParseFloat(cmp.Or(attrs["goroutines"], attrs["value"]), 64) // 0, unknown, if there is none
	return Trigger{
		Cause: strings.TrimSpace(what + " " + where), Reason: cmp.Or(e.Message, e.Name), Size: size,
		CPU: aboutTime(attrs["signal"]), Event: e,
	}
}

// aboutTime reports whether a CPU profile may explain an anomaly of a signal.
func aboutTime(signal string) bool {
	return slices.ContainsFunc([]string{"cpu", "latenc", "runnable", "sched", "duration"}, func(word string) bool {
		return strings.Contains(strings.ToLower(signal), word)
	})
}
