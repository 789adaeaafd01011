// SPDX-License-Identifier: Apache-2.0

package codec

import (
	"encoding/binary"
	"log/slog"
	"math"
	"math/bits"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// writer appends the parts of a schema or record. [reader] has the same methods in the same
// order.
type writer struct {
	b       []byte
	start   int
	origins []origin // of the exemplars so far
}

// origin is the part that many exemplars of a snapshot share. It is written once.
type origin struct {
	traceID [16]byte
	spanID  [8]byte
	time    time.Time
}

func (w *writer) size() int        { return len(w.b) - w.start }
func (w *writer) byte(v byte)      { w.b = append(w.b, v) }
func (w *writer) uint(v uint64)    { w.b = binary.AppendUvarint(w.b, v) }
func (w *writer) int(v int64)      { w.b = binary.AppendVarint(w.b, v) }
func (w *writer) fixed64(v uint64) { w.b = binary.LittleEndian.AppendUint64(w.b, v) }

func (w *writer) bool(v bool) {
	if v {
		w.byte(1)
		return
	}
	w.byte(0)
}

const cutMark = "…(cut)"

func (w *writer) text(s string) {
	if len(s) <= MaxEncodedText {
		w.uint(uint64(len(s)))
		w.b = append(w.b, s...)
		return
	}
	end := MaxEncodedText - len(cutMark)
	for n := 1; n < utf8.UTFMax && !utf8.RuneStart(s[end]); n++ {
		end--
	}
	w.uint(uint64(end + len(cutMark)))
	w.b = append(w.b, s[:end]...)
	w.b = append(w.b, cutMark...)
}

// float writes small whole numbers, zero and NaN in a few bytes, because reversing the bytes
// turns the trailing zeros of the mantissa into leading zeros.
func (w *writer) float(v float64) { w.uint(bits.ReverseBytes64(math.Float64bits(v) ^ nan)) }

// nan is the bit pattern of an absent number, which float encodes in one byte.
const nan = 0x7ff8000000000000

func (w *writer) floats(vs []float64) {
	w.uint(uint64(len(vs)))
	for _, v := range vs {
		w.float(v)
	}
}

func (w *writer) time(t time.Time) {
	_, offset := t.Zone()
	w.int(t.Unix())
	w.uint(uint64(t.Nanosecond()))
	w.int(int64(offset))
}

// writeList writes the length of a list and its elements.
func writeList[T any](w *writer, list []T, one func(*writer, *T)) {
	w.uint(uint64(len(list)))
	for i := range list {
		one(w, &list[i])
		if w.size() > MaxEncoded {
			return // Append returns ErrTooLarge
		}
	}
}

func (w *writer) attr(a *runtimeinfo.Attr) {
	w.text(a.Key)
	w.text(a.Value)
}

func (w *writer) attrs(as []runtimeinfo.Attr) { writeList(w, as, (*writer).attr) }

func (w *writer) texts(ts []string) { writeList(w, ts, func(w *writer, t *string) { w.text(*t) }) }

func (w *writer) metric(m *runtimeinfo.Metric) {
	w.text(m.Name)
	w.text(m.Unit)
	w.byte(byte(m.Kind))
	w.text(m.Help)
	w.text(string(m.Subsystem))
	w.attr(&m.Attr)
	w.bool(m.Keys != nil)
	w.texts(m.Keys)
	w.byte(flag(m.Headline, headline) | flag(m.Detail, detail) | flag(m.Ranged, ranged) | flag(m.Fault, fault) | flag(m.FixedLabels, fixedLabels))
	w.text(m.Key())
}

// The flags of a metric. Records of gmpulse before Detail existed have 0 or headline.
const (
	headline byte = 1 << iota
	detail
	ranged
	fault
	fixedLabels
	flagsEnd
)

func flag(on bool, bit byte) byte {
	if on {
		return bit
	}
	return 0
}

// values writes the points of a snapshot, which are in the order of the metrics.
func (w *writer) values(metrics []*runtimeinfo.Metric, points []runtimeinfo.Point) {
	for _, m := range metrics {
		n := 0
		for n < len(points) && points[n].Metric == m {
			n++
		}
		switch {
		case m.Keys != nil:
			w.uint(uint64(n))
			for i := range points[:n] {
				w.series(&points[i])
			}
		case m.Kind == runtimeinfo.KindHistogram && n == 0:
			w.histogram(&runtimeinfo.Histogram{})
		case m.Kind == runtimeinfo.KindHistogram:
			w.histogram(points[0].Histogram)
		default:
			w.number(m, points[:n])
		}
		points = points[n:]
	}
}

// number writes the value of a metric, if any, and the exemplar of a counter.
func (w *writer) number(m *runtimeinfo.Metric, points []runtimeinfo.Point) {
	p := runtimeinfo.Point{Number: math.Float64frombits(nan)}
	if len(points) > 0 {
		p = points[0]
	}
	w.float(p.Number)
	if len(points) > 0 {
		w.spread(&p)
	}
	if m.Kind == runtimeinfo.KindCounter {
		w.exemplar(p.Exemplar)
	}
}

// How the range of a value is written. The numbers are part of the format.
const (
	rangeNone     byte = iota
	rangeConstant      // all three are equal to the value
	rangeFull          // followed by minimum, mean and maximum
)

// spread writes the range of a value, if its metric has one.
func (w *writer) spread(p *runtimeinfo.Point) {
	if !p.Metric.Ranged || math.IsNaN(p.Number) {
		return
	}
	switch v := p.Number; {
	case p.Range == nil:
		w.byte(rangeNone)
	case *p.Range == runtimeinfo.Range{Min: v, Mean: v, Max: v}:
		w.byte(rangeConstant)
	default:
		w.byte(rangeFull)
		w.float(p.Range.Min)
		w.float(p.Range.Mean)
		w.float(p.Range.Max)
	}
}

// exemplar writes 0 for no exemplar, 1 and the origin if the record does not have that origin
// yet, or else 2 plus the index of the origin.
func (w *writer) exemplar(x *runtimeinfo.Exemplar) {
	if x == nil {
		w.uint(0)
		return
	}
	o := origin{x.TraceID, x.SpanID, x.Time}
	i := slices.Index(w.origins, o)
	if i < 0 {
		w.origins = append(w.origins, o)
		w.uint(1)
		w.b = append(w.b, x.TraceID[:]...)
		w.b = append(w.b, x.SpanID[:]...)
		w.time(x.Time)
	} else {
		w.uint(uint64(i) + 2)
	}
	w.float(x.Value)
}

func (w *writer) series(p *runtimeinfo.Point) {
	for i := range p.Metric.Keys {
		label := ""
		if i < len(p.Labels) {
			label = p.Labels[i]
		}
		w.text(label)
	}
	if p.Metric.Kind != runtimeinfo.KindHistogram {
		w.float(p.Number)
		w.spread(p)
		w.exemplar(p.Exemplar)
		return
	}
	h := p.Histogram
	if h == nil {
		h = &runtimeinfo.Histogram{}
	}
	w.floats(h.Bounds)
	w.histogram(h)
}

// histogram does not write the bounds, which stand in the schema or before the histogram.
func (w *writer) histogram(h *runtimeinfo.Histogram) {
	w.bool(h.Counts != nil)
	writeList(w, h.Counts, func(w *writer, n *uint64) { w.uint(*n) })
	w.float(h.Sum)
	writeList(w, h.Exemplars, func(w *writer, x **runtimeinfo.Exemplar) { w.exemplar(*x) })
}

func (w *writer) span(s *runtimeinfo.Span) {
	w.b = append(w.b, s.TraceID[:]...)
	w.b = append(w.b, s.SpanID[:]...)
	w.text(s.Name)
	w.time(s.Start)
	w.bool(s.Sampled)
}

func (w *writer) spans(ss []runtimeinfo.Span) { writeList(w, ss, (*writer).span) }

func (w *writer) spanGroup(g *runtimeinfo.SpanGroup) {
	w.text(g.Name)
	w.int(int64(g.Active))
	w.time(g.Oldest)
	for _, n := range g.Ages {
		w.int(int64(n))
	}
	w.uint(g.Ended)
	w.int(int64(g.P50))
	w.int(int64(g.P99))
	w.int(int64(g.TickP50))
	w.int(int64(g.TickP99))
	w.uint(g.Errors)
	// Durations would multiply the size of the record of a service with many names.
}

func (w *writer) band(b *runtimeinfo.Band) {
	w.text(b.Signal)
	w.text(b.Unit)
	w.float(b.Value)
	w.float(b.Expected)
	w.float(b.Lower)
	w.float(b.Upper)
	w.time(b.Since)
	w.bool(b.Learning)
	w.uint(b.Anomalies)
}

func (w *writer) event(e *runtimeinfo.Event) {
	w.time(e.Time)
	w.text(e.Name)
	w.int(int64(e.Severity))
	w.text(e.Message)
	w.slogAttrs(e.Attrs, maxAttrDepth)
	w.spans(e.Spans)
	w.bool(e.Incident != nil)
	if e.Incident != nil {
		w.incident(e.Incident)
	}
}

func (w *writer) incident(i *runtimeinfo.Incident) {
	w.text(i.ID)
	w.text(string(i.Phase))
	w.time(i.Since)
	for _, s := range []string{i.Kind, i.Site, i.Root, i.Signal} {
		w.text(s)
	}
	w.float(i.Size)
	for _, s := range []string{i.Unit, i.Evidence, i.Hint} {
		w.text(s)
	}
}

// maxAttrDepth limits nested groups, because a [slog.LogValuer] may return a group that
// contains itself.
const maxAttrDepth = 8

// The kind of an attribute precedes its key. The numbers are part of the format.
const (
	attrText byte = iota
	attrBool
	attrInt
	attrUint
	attrFloat
	attrDuration
	attrTime
	attrGroup
	attrEnd byte = 0xff // end of a group
)

// slogAttrs writes a list that ends with attrEnd, because the number of attributes is not
// known in advance.
func (w *writer) slogAttrs(as []slog.Attr, depth int) {
	for _, a := range as {
		v := a.Value.Resolve()
		if v.Kind() == slog.KindGroup && depth == 0 || a.Equal(slog.Attr{}) {
			continue
		}
		if w.size() > MaxEncoded {
			break // Append returns ErrTooLarge
		}
		w.slogValue(a.Key, v, depth)
	}
	w.byte(attrEnd)
}

func (w *writer) slogValue(key string, v slog.Value, depth int) {
	kind := func(k byte) {
		w.byte(k)
		w.text(key)
	}
	switch v.Kind() {
	case slog.KindBool:
		kind(attrBool)
		w.bool(v.Bool())
	case slog.KindInt64:
		kind(attrInt)
		w.int(v.Int64())
	case slog.KindUint64:
		kind(attrUint)
		w.uint(v.Uint64())
	case slog.KindFloat64:
		kind(attrFloat)
		w.float(v.Float64())
	case slog.KindDuration:
		kind(attrDuration)
		w.int(int64(v.Duration()))
	case slog.KindTime:
		kind(attrTime)
		w.time(v.Time())
	case slog.KindGroup:
		kind(attrGroup)
		w.slogAttrs(v.Group(), depth-1)
	case slog.KindString, slog.KindAny, slog.KindLogValuer:
		kind(attrText)
		w.text(v.String())
	default:
		kind(attrText)
		w.text(v.String())
	}
}
