// SPDX-License-Identifier: Apache-2.0

package exporters

import (
	"hash/fnv"
	"iter"
	"log/slog"
	"strconv"
	"time"

	"github.com/gmpulse/gmpulse/exporters/internal/flat"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// Record flattens a snapshot into the one wide record that exporters of logs
// send per tick. Keys are those of the catalogue ([runtimeinfo.Metric.Key]); no
// key is a dot-separated prefix of another, as Elasticsearch demands. Values are
// bool, string, uint64, finite float64, or slices of maps of these. Strings are
// valid UTF-8, numbers that are not finite are left out: either would make a
// receiver such as Fluentd refuse the record, or the whole connection with it.
//
//   - id: the same whenever this snapshot arrives, and that of no other: the
//     service.instance.id, when this run of the agent began, and seq. A store that
//     takes it as the name of the document (_id) keeps one of several copies
//   - seq, and resource.* for each resource attribute
//   - a number for each metric
//   - KEY.count and KEY.sum for a histogram
//   - a list of {label: ..., value: ...} for a metric with labels
//   - spans: the active spans, oldest first
//
// Events are not part of it, see [EventRecord].
func Record(s *runtimeinfo.Snapshot) iter.Seq2[string, any] {
	return func(yield func(string, any) bool) {
		for k, v := range flat.Snapshot(s) {
			if !yield(k, anyOf(&v, s.Time)) {
				return
			}
		}
	}
}

// anyOf returns a value as records of this package have it.
func anyOf(v *flat.Value, at time.Time) any {
	switch v.Kind {
	case flat.Text:
		return v.Text
	case flat.Uint:
		return v.Uint
	case flat.Number:
		return v.Number
	case flat.Series:
		list := make([]any, len(v.Series))
		for i := range v.Series {
			list[i] = mapOf(flat.Labelled(nil, &v.Series[i]))
		}
		return list
	case flat.Spans:
		return spanMaps(v.Spans, at)
	default: // no such kind
		return nil
	}
}

// mapOf returns fields, none of which is a list, as a map.
func mapOf(fields []flat.Field) map[string]any {
	m := make(map[string]any, len(fields))
	for i := range fields {
		m[fields[i].Key] = anyOf(&fields[i].Value, time.Time{})
	}
	return m
}

// EventRecord flattens one event of a snapshot into a record of its own. The
// time of the event is not part of it. Its id does not depend on the snapshot that
// brings it: the service.instance.id, when this run of the agent began, the time
// of the event, and a hash of its name and message.
//
// Attributes become a map under "attributes", groups maps within it, at most
// eight deep. Durations are seconds, integers uint64 or, below zero, float64. As
// in [Record], numbers that are not finite are left out: as strings they would
// change the type of their field. Values of any other type become strings; what a
// value panics with while it is turned into one becomes part of the string.
func EventRecord(s *runtimeinfo.Snapshot, e *runtimeinfo.Event) iter.Seq2[string, any] {
	return func(yield func(string, any) bool) {
		ok := yield("id", eventID(s, e)) && yield("seq", s.Seq) && yieldResource(s, yield) &&
			yield("event.name", flat.Valid(e.Name)) &&
			yield("severity", e.Severity.String()) &&
			yield("message", flat.Valid(e.Message))
		if m := attrMap(e.Attrs, maxDepth); ok && len(m) > 0 {
			ok = yield("attributes", m)
		}
		if ok && len(e.Spans) > 0 {
			yield("spans", spanMaps(e.Spans, e.Time))
		}
	}
}

func eventID(s *runtimeinfo.Snapshot, e *runtimeinfo.Event) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(e.Name)) // never fails, by its documentation
	_, _ = h.Write([]byte{0})
	_, _ = h.Write([]byte(e.Message))
	id := strconv.AppendInt(append(flat.Run(s), '/'), e.Time.UnixNano(), 36)
	return flat.Valid(string(strconv.AppendUint(append(id, '/'), h.Sum64(), 36)))
}

func yieldResource(s *runtimeinfo.Snapshot, yield func(string, any) bool) bool {
	for _, a := range s.Resource {
		if !yield("resource."+flat.Valid(a.Key), flat.Valid(a.Value)) {
			return false
		}
	}
	return true
}

// spanMaps renders spans with their age at a moment.
func spanMaps(spans []runtimeinfo.Span, at time.Time) []any {
	list := make([]any, len(spans))
	for i := range spans {
		list[i] = mapOf(flat.Span(nil, &spans[i], at))
	}
	return list
}

// maxDepth bounds groups within groups: a [slog.LogValuer] may return a group
// that holds itself, and running out of stack is nothing a program recovers from.
const maxDepth = 8

func attrMap(attrs []slog.Attr, depth int) map[string]any {
	m := make(map[string]any, len(attrs))
	addAttrs(m, attrs, depth)
	return m
}

// addAttrs goes by the rules for slog handlers: an empty attribute is ignored,
// a group without a key is part of what it stands in.
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

// attrKey gives a key to what has none, the one that slog itself uses:
// Elasticsearch refuses a record with an empty key.
func attrKey(key string) string {
	if key == "" {
		return "!BADKEY"
	}
	return flat.Valid(key)
}

// attrValue turns a resolved value into one that a record may hold; ok is false
// where it is to be left out.
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
		return v.Float64(), flat.Finite(v.Float64())
	case slog.KindTime:
		return v.Time().Format(time.RFC3339Nano), true
	case slog.KindGroup:
		if depth == 0 {
			return nil, false
		}
		m := attrMap(v.Group(), depth-1)
		return m, len(m) > 0
	case slog.KindString, slog.KindAny, slog.KindLogValuer:
		return flat.Valid(v.String()), true
	default:
		return flat.Valid(v.String()), true
	}
}

// integer keeps every digit of what is not negative: a float64 would round a
// time in nanoseconds or an id.
func integer(i int64) any {
	if i < 0 {
		return float64(i)
	}
	return uint64(i)
}
