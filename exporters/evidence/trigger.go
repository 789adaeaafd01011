// SPDX-License-Identifier: Apache-2.0

package evidence

import (
	"cmp"
	"log/slog"
	"strings"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// Trigger is a reason to make a bundle.
type Trigger struct {
	// Cause tells incidents apart: the cooldown goes by it. Low in cardinality.
	Cause string
	// Reason says in one sentence what happened.
	Reason string
	// Size is how large it is, in whatever unit: twice that of the last bundle of
	// the cause is worth another. Zero is unknown.
	Size float64
	// CPU asks for a profile of the CPU.
	CPU bool
	// Minor is for what happens all the time, such as a slow span: it gets at most
	// half of the bundles of an hour.
	Minor bool
	// Also are other causes of the same moment.
	Also []string
	// Event is what happened, if there is one.
	Event *runtimeinfo.Event
	// Trace is an execution trace that has the incident in it. Nil: one is made.
	Trace []byte

	first bool // the incident is new
}

// worth makes a trigger of the events of a snapshot, of the gravest first. ok is
// false when none is worth a bundle.
func worth(events []runtimeinfo.Event) (t Trigger, ok bool) {
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
			next.Also, next.CPU = append(t.Also, t.Cause), next.CPU || t.CPU
			t = next
		default:
			t.Also, t.CPU = append(t.Also, next.Cause), next.CPU || t.CPU
		}
	}
	return t, ok
}

// serious tells the events that are worth a bundle.
func serious(e *runtimeinfo.Event) bool {
	return e.Severity >= slog.LevelWarn &&
		(strings.HasPrefix(e.Name, "goroutine.verdict.") || strings.HasPrefix(e.Name, "baseline.anomaly."))
}

// triggerOf makes a trigger of one event. Its last word ("opened", "doubled") is
// a stage of the incident and not part of the cause.
func triggerOf(e *runtimeinfo.Event) Trigger {
	attrs := attrsOf(e)
	what := e.Name[:max(0, strings.LastIndexByte(e.Name, '.'))]
	where := cmp.Or(attrs["signal"].text, attrs["site"].text)
	size := attrs["goroutines"].number
	if size == 0 {
		size = attrs["value"].number
	}
	return Trigger{
		Cause: strings.TrimSpace(what + " " + where), Reason: cmp.Or(e.Message, e.Name), Size: size,
		CPU: aboutTime(attrs["signal"].text), Event: e,
	}
}

// aboutTime tells the signals that a CPU profile may explain.
func aboutTime(signal string) bool {
	for _, word := range []string{"cpu", "latenc", "runnable", "sched", "duration"} {
		if strings.Contains(strings.ToLower(signal), word) {
			return true
		}
	}
	return false
}

type attr struct {
	text   string
	number float64
}

func attrsOf(e *runtimeinfo.Event) map[string]attr {
	m := make(map[string]attr, len(e.Attrs))
	for _, a := range e.Attrs {
		v := attr{text: a.Value.String()}
		switch a.Value.Kind() {
		case slog.KindInt64:
			v.number = float64(a.Value.Int64())
		case slog.KindUint64:
			v.number = float64(a.Value.Uint64())
		case slog.KindFloat64:
			v.number = a.Value.Float64()
		default:
		}
		m[a.Key] = v
	}
	return m
}
