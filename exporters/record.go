// SPDX-License-Identifier: Apache-2.0

package exporters

import (
	"hash/fnv"
	"iter"
	"log/slog"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// Record returns a snapshot as one flat record, for exporters that write to logs. The keys of
// the values are [runtimeinfo.Metric.Key]. No key is a dot-separated prefix of another, because
// Elasticsearch rejects such records. A value is a bool, string, uint64, finite float64, or a
// slice of maps of these. Strings are valid UTF-8. Numbers that are not finite are omitted,
// because receivers such as Fluentd reject a record that has them.
//
//   - id: unique to this snapshot: service.instance.id, the start time of the agent, and seq.
//     A store that uses it as the document id (_id) removes duplicates
//   - seq, and resource.* for each resource attribute
//   - a number for each metric
//   - KEY.count and KEY.sum for a histogram
//   - a list of {label: ..., value: ...} for a metric with labels
//   - spans: the active spans, oldest first
//
// The record does not have the events, see [EventRecord].
func Record(s *runtimeinfo.Snapshot) iter.Seq2[string, any] {
	return func(yield func(string, any) bool) {
		id := strconv.AppendUint(append(runID(s), '/'), s.Seq, 10)
		if yield("id", valid(string(id))) && yield("seq", s.Seq) && yieldResource(s, yield) &&
			yieldPoints(s, yield) && len(s.Spans) > 0 {
			yield("spans", spanMaps(s.Spans, s.Time))
		}
	}
}

// EventRecord returns one event of a snapshot as a record. The record does not have the time of
// the event. Its id does not depend on the snapshot: it consists of service.instance.id, the
// start time of the agent, the time of the event, and a hash of its name and message.
//
// The value of "attributes" is a map, with a map for each group, at most eight levels deep.
// Durations are in seconds; integers are uint64, or float64 if negative. As in [Record], numbers
// that are not finite are omitted. Values of other types are converted to strings; if the
// conversion panics, the string has the value of the panic.
func EventRecord(s *runtimeinfo.Snapshot, e *runtimeinfo.Event) iter.Seq2[string, any] {
	return func(yield func(string, any) bool) {
		ok := yield("id", eventID(s, e)) && yield("seq", s.Seq) && yieldResource(s, yield) &&
			yield("event.name", valid(e.Name)) &&
			yield("severity", e.Severity.String()) &&
			yield("message", valid(e.Message))
		if m := attrMap(e.Attrs, maxDepth); ok && len(m) > 0 {
			ok = yield("attributes", m)
		}
		if ok && len(e.Spans) > 0 {
			yield("spans", spanMaps(e.Spans, e.Time))
		}
	}
}

// runID returns the first part of an id. It has the start time of the agent, because seq starts
// again in a new process, which may have the same instance id, such as the name of a pod.
func runID(s *runtimeinfo.Snapshot) []byte {
	id := make([]byte, 0, 96)
	for _, a := range s.Resource {
		if a.Key == "service.instance.id" {
			id = append(id, a.Value...)
			break
		}
	}
	return strconv.AppendInt(append(id, '/'), s.Start.UnixNano(), 36)
}

func eventID(s *runtimeinfo.Snapshot, e *runtimeinfo.Event) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(e.Name)) // never fails, by its documentation
	_, _ = h.Write([]byte{0})
	_, _ = h.Write([]byte(e.Message))
	id := strconv.AppendInt(append(runID(s), '/'), e.Time.UnixNano(), 36)
	return valid(string(strconv.AppendUint(append(id, '/'), h.Sum64(), 36)))
}

func yieldResource(s *runtimeinfo.Snapshot, yield func(string, any) bool) bool {
	for _, a := range s.Resource {
		if !yield("resource."+valid(a.Key), valid(a.Value)) {
			return false
		}
	}
	return true
}

// yieldPoints yields one value for each metric, two for a histogram, and reports whether the
// caller wants more.
func yieldPoints(s *runtimeinfo.Snapshot, yield func(string, any) bool) bool {
	var series []any                 // the points so far of a metric with labels
	var labelled *runtimeinfo.Metric // that metric
	flush := func() bool {
		m, list := labelled, series
		labelled, series = nil, nil
		return m == nil || yield(m.Key(), list)
	}
	for p := range s.Points() {
		if p.Metric != labelled && !flush() {
			return false
		}
		if p.Metric.Keys == nil {
			if !yieldPoint(&p, yield) {
				return false
			}
		} else if finite(p.Number) {
			labelled, series = p.Metric, append(series, labelledMap(&p))
		}
	}
	return flush()
}

func yieldPoint(p *runtimeinfo.Point, yield func(string, any) bool) bool {
	key := p.Metric.Key()
	if h := p.Histogram; h != nil {
		return yield(key+".count", h.Count()) && (!finite(h.Sum) || yield(key+".sum", h.Sum))
	}
	return !finite(p.Number) || yield(key, p.Number)
}

// labelledMap returns a point of a metric with labels as a map. A label with the key "value"
// replaces the number.
func labelledMap(p *runtimeinfo.Point) map[string]any {
	m := map[string]any{"value": p.Number}
	for k, v := range p.Attrs() {
		m[k] = valid(v)
	}
	return m
}

// spanMaps returns spans as maps, with their age at the given time.
func spanMaps(spans []runtimeinfo.Span, at time.Time) []any {
	list := make([]any, len(spans))
	for i := range spans {
		sp := &spans[i]
		list[i] = map[string]any{
			"trace_id": sp.TraceIDString(), "span_id": sp.SpanIDString(),
			"name": valid(sp.Name), "age": age(sp, at),
		}
	}
	return list
}

// age returns the age of a span in seconds, and 0 for a span that starts in the future, which
// happens if the clock is set back.
func age(sp *runtimeinfo.Span, at time.Time) float64 { return max(0, at.Sub(sp.Start).Seconds()) }

func finite(f float64) bool { return !math.IsNaN(f) && !math.IsInf(f, 0) }

// valid replaces invalid UTF-8.
func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

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
	case slog.KindString, slog.KindAny, slog.KindLogValuer:
		return valid(v.String()), true
	default:
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
