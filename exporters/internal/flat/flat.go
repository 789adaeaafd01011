// SPDX-License-Identifier: Apache-2.0

// Package flat defines the record of a snapshot for the exporters that write one. Its
// values are structs with a kind, because an any for each number would allocate.
package flat

import (
	"iter"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// Kind determines which field of a [Value] is set.
type Kind uint8

// The kinds.
const (
	Text Kind = iota
	Uint
	Number
	Series
	Spans
)

// Value is a value of a record. It is valid until the iterator yields the next one.
type Value struct {
	Kind   Kind
	Text   string // valid UTF-8
	Uint   uint64
	Number float64             // finite
	Series []runtimeinfo.Point // each becomes a map, see [Labelled]
	Spans  []runtimeinfo.Span  // each becomes a map, see [Span]
}

// Snapshot yields the record of a snapshot, as documented at exporters.Record.
func Snapshot(s *runtimeinfo.Snapshot) iter.Seq2[string, Value] {
	return func(yield func(string, Value) bool) {
		if !yield("id", text(string(strconv.AppendUint(append(Run(s), '/'), s.Seq, 10)))) || !yield("seq", Value{Kind: Uint, Uint: s.Seq}) {
			return
		}
		for _, a := range s.Resource {
			if !yield("resource."+Valid(a.Key), text(a.Value)) {
				return
			}
		}
		if points(s, yield) && len(s.Spans) > 0 {
			yield("spans", Value{Kind: Spans, Spans: s.Spans})
		}
	}
}

// Run returns the first part of an id, which identifies one run of an instance. It has the
// start time, because an instance id that is the name of a pod, for example, may outlive
// the process, while seq starts again.
func Run(s *runtimeinfo.Snapshot) []byte {
	id := make([]byte, 0, 96)
	for _, a := range s.Resource {
		if a.Key == "service.instance.id" {
			id = append(id, a.Value...)
			break
		}
	}
	return strconv.AppendInt(append(id, '/'), s.Start.UnixNano(), 36)
}

// points yields one value for each metric, and reports whether the caller wants more.
func points(s *runtimeinfo.Snapshot, yield func(string, Value) bool) bool {
	var series []runtimeinfo.Point
	var open *runtimeinfo.Metric // the metric of series
	flush := func() bool {
		if open == nil {
			return true
		}
		key := open.Key()
		open = nil
		return yield(key, Value{Kind: Series, Series: series})
	}
	for p := range s.Points() {
		if p.Metric != open && !flush() {
			return false
		}
		if p.Metric.Keys == nil {
			if !point(&p, yield) {
				return false
			}
			continue
		}
		if !Finite(p.Number) {
			continue
		}
		if open == nil {
			open, series = p.Metric, series[:0]
		}
		series = append(series, p)
	}
	return flush()
}

func point(p *runtimeinfo.Point, yield func(string, Value) bool) bool {
	key := p.Metric.Key()
	if h := p.Histogram; h != nil {
		return yield(key+".count", Value{Kind: Uint, Uint: h.Count()}) && (!Finite(h.Sum) || yield(key+".sum", number(h.Sum)))
	}
	return !Finite(p.Number) || yield(key, number(p.Number))
}

// Field is an entry of a map within a record.
type Field struct {
	Key   string
	Value Value
}

// Labelled appends the fields of one point of a metric with labels. Keys are unique: a
// later label replaces an earlier one, and any label replaces the field "value".
func Labelled(to []Field, p *runtimeinfo.Point) []Field {
	start := len(to)
	to = append(to, Field{"value", number(p.Number)})
	for k, v := range p.Attrs() {
		at := start
		for at < len(to) && to[at].Key != k {
			at++
		}
		if at == len(to) {
			to = append(to, Field{Key: k})
		}
		to[at].Value = text(v)
	}
	return to
}

// Span appends the fields of one span, with its age at the given time.
func Span(to []Field, sp *runtimeinfo.Span, at time.Time) []Field {
	return append(to,
		Field{"trace_id", text(sp.TraceIDString())}, Field{"span_id", text(sp.SpanIDString())},
		Field{"name", text(sp.Name)}, Field{"age", number(Age(sp, at))})
}

// Age returns the age of a span in seconds, and 0 for a span that starts in the future,
// which happens when the clock is set back.
func Age(sp *runtimeinfo.Span, at time.Time) float64 { return max(0, at.Sub(sp.Start).Seconds()) }

func text(s string) Value { return Value{Kind: Text, Text: Valid(s)} }

func number(v float64) Value { return Value{Kind: Number, Number: v} }

// Finite reports whether f is neither NaN nor an infinity.
func Finite(f float64) bool { return !math.IsNaN(f) && !math.IsInf(f, 0) }

// Valid replaces invalid UTF-8.
func Valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
