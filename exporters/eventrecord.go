// SPDX-License-Identifier: Apache-2.0

package exporters

import (
	"hash/fnv"
	"iter"
	"log/slog"
	"strconv"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// EventRecord returns one event of a snapshot as a record. The record does not have the time of
// the event. Its id does not depend on the snapshot: it consists of service.instance.id, the
// start time of the agent, the time of the event, and a hash of its name and message.
//
// The value of "attributes" is a map, with a map for each group, at most eight levels deep.
// Durations are in seconds; integers are uint64, or float64 if negative. As in [Record], numbers
// that are not finite are omitted. Values of other types are converted to strings; if the
// conversion panics, the string has the value of the panic.
//
// The keys that begin with "incident." have the incident of the event, if there is one.
func EventRecord(s *runtimeinfo.Snapshot, e *runtimeinfo.Event) iter.Seq2[string, any] {
	return func(yield func(string, any) bool) {
		w := fields{yield: yield, form: full(), snapshot: s}
		w.put("id", eventID(s, e))
		w.put("seq", s.Seq)
		w.resource(s)
		w.text("event.name", e.Name)
		w.put("severity", e.Severity.String())
		w.text("message", e.Message)
		if !w.done { // attributes run code of the application
			if m := attrMap(e.Attrs, maxDepth); len(m) > 0 {
				w.put("attributes", m)
			}
		}
		w.incident(e.Incident)
		w.spans(e.Spans, e.Time)
	}
}

// incident puts what a search for incidents needs. The message and the attributes of the event have
// the evidence.
func (w *fields) incident(i *runtimeinfo.Incident) {
	if i == nil {
		return
	}
	w.text("incident.id", i.ID)
	w.text("incident.phase", string(i.Phase))
	w.put("incident.since", i.Since.UTC().Format(time.RFC3339Nano))
	w.text("incident.kind", i.Kind)
	for _, f := range []struct{ key, value string }{
		{"incident.site", i.Site}, {"incident.root_span", i.Root}, {"incident.signal", i.Signal}, {"incident.hint", i.Hint},
	} {
		if f.value != "" {
			w.text(f.key, f.value)
		}
	}
	if finite(i.Size) {
		w.put("incident.size", i.Size)
	}
}

func eventID(s *runtimeinfo.Snapshot, e *runtimeinfo.Event) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(e.Name + "\x00" + e.Message)) // never fails, by its documentation
	id := strconv.AppendInt(append(runID(s), '/'), e.Time.UnixNano(), 36)
	return valid(string(strconv.AppendUint(append(id, '/'), h.Sum64(), 36)))
}

// maxDepth limits nested groups. A [slog.LogValuer] may return a group that contains itself, and
// a stack overflow cannot be recovered.
const maxDepth = 8

func attrMap(attrs []slog.Attr, depth int) map[string]any {
	m := make(map[string]any, len(attrs))
	addAttrs(m, attrs, depth)
	return m
}

// addAttrs follows the rules for slog handlers: it ignores empty attributes and inlines groups
// without a key.
func addAttrs(m map[string]any, attrs []slog.Attr, depth int) {
	for _, a := range attrs {
		v := a.Value.Resolve()
		switch {
		case a.Equal(slog.Attr{}):
		case v.Kind() == slog.KindGroup && a.Key == "":
			if depth > 0 {
				addAttrs(m, v.Group(), depth-1)
			}
		default:
			if x, ok := attrValue(v, depth); ok {
				m[attrKey(a.Key)] = x
			}
		}
	}
}

// attrKey replaces an empty key by the one that slog uses, because Elasticsearch rejects a record
// with an empty key.
func attrKey(key string) string {
	if key == "" {
		return "!BADKEY"
	}
	return valid(key)
}

// attrValue returns a resolved value as a value of a record. ok is false if the record omits it.
func attrValue(v slog.Value, depth int) (x any, ok bool) {
	switch v.Kind() {
	case slog.KindBool:
		return v.Bool(), true
	case slog.KindInt64:
		return integer(v.Int64()), true
	case slog.KindUint64:
		return v.Uint64(), true
	case slog.KindDuration:
		return v.Duration().Seconds(), true
	case slog.KindFloat64:
		return v.Float64(), finite(v.Float64())
	case slog.KindTime:
		return v.Time().Format(time.RFC3339Nano), true
	case slog.KindGroup:
		if depth == 0 {
			return nil, false
		}
		m := attrMap(v.Group(), depth-1)
		return m, len(m) > 0
	default: // a string, or of another type
		return valid(v.String()), true
	}
}

// integer returns a uint64 if i is not negative, because a float64 would round a time in
// nanoseconds or an id.
func integer(i int64) any {
	if i < 0 {
		return float64(i)
	}
	return uint64(i)
}
