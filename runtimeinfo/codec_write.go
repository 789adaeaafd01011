// SPDX-License-Identifier: Apache-2.0

package runtimeinfo

import (
	"encoding/binary"
	"log/slog"
	"math"
	"math/bits"
	"slices"
	"time"
	"unicode/utf8"
)

// writer appends the parts of a record. [reader] has the same methods, in the
// same order; a test fills every field there is and sees it come back.
type writer struct {
	b       []byte
	start   int
	origins []origin // of the exemplars so far
}

// origin is what many exemplars of one snapshot share: they are written once.
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

// float writes whole numbers, zero and NaN, which are most of a snapshot, in few
// bytes: reversed, the zeros at the end of a mantissa become leading ones.
func (w *writer) float(v float64) { w.uint(bits.ReverseBytes64(math.Float64bits(v) ^ nan)) }

// nan is the one NaN that the codec knows, so that an absent number is one byte.
const nan = 0x7ff8000000000000

func (w *writer) floats(vs []float64) {
	w.uint(uint64(len(vs)))
	for _, v := range vs {
		w.float(v)
	}
}

// number is a float that may be absent.
func (w *writer) number(v float64) {
	if math.IsNaN(v) {
		v = math.Float64frombits(nan)
	}
	w.float(v)
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
			return // is refused anyway
		}
	}
}

func (w *writer) attr(a *Attr) {
	w.text(a.Key)
	w.text(a.Value)
}

func (w *writer) attrs(as []Attr) { writeList(w, as, (*writer).attr) }

func (w *writer) texts(ts []string) { writeList(w, ts, func(w *writer, t *string) { w.text(*t) }) }

func (w *writer) metric(m *Metric) {
	w.text(m.Name)
	w.text(m.Unit)
	w.byte(byte(m.Kind))
	w.text(m.Help)
	w.text(string(m.Subsystem))
	w.attr(&m.Attr)
	w.bool(m.Keys != nil)
	w.texts(m.Keys)
	w.bool(m.Headline)
	w.text(m.Key())
}

// values writes what [Snapshot.Points] yields.
func (w *writer) values(s *Snapshot) {
	rest := s.points
	for i, m := range s.Metrics() {
		n := 0
		for n < len(rest) && rest[n].Metric == m {
			n++
		}
		switch {
		case m.Keys != nil:
			w.uint(uint64(n))
			for i := range rest[:n] {
				w.series(&rest[i])
			}
		case m.Kind == KindHistogram && n == 0:
			w.histogram(&Histogram{})
		case m.Kind == KindHistogram:
			w.histogram(rest[0].Histogram)
		default:
			w.number(s.numbers[i])
			if m.Kind == KindCounter {
				w.exemplar(s.exemplar(i))
			}
		}
		rest = rest[n:]
	}
}

// exemplar writes 0 for none, 1 before an origin that is new, or the number of one
// that is not.
func (w *writer) exemplar(x *Exemplar) {
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

func (w *writer) series(p *Point) {
	for i := range p.Metric.Keys {
		label := ""
		if i < len(p.Labels) {
			label = p.Labels[i]
		}
		w.text(label)
	}
	if p.Metric.Kind != KindHistogram {
		w.float(p.Number)
		w.exemplar(p.Exemplar)
		return
	}
	h := p.Histogram
	if h == nil {
		h = &Histogram{}
	}
	w.floats(h.Bounds)
	w.histogram(h)
}

// histogram leaves the bounds to the schema.
func (w *writer) histogram(h *Histogram) {
	w.bool(h.Counts != nil)
	writeList(w, h.Counts, func(w *writer, n *uint64) { w.uint(*n) })
	w.float(h.Sum)
	writeList(w, h.Exemplars, func(w *writer, x **Exemplar) { w.exemplar(*x) })
}

func (w *writer) span(s *Span) {
	w.b = append(w.b, s.TraceID[:]...)
	w.b = append(w.b, s.SpanID[:]...)
	w.text(s.Name)
	w.time(s.Start)
	w.bool(s.Sampled)
}

func (w *writer) spans(ss []Span) { writeList(w, ss, (*writer).span) }

func (w *writer) spanGroup(g *SpanGroup) {
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
}

func (w *writer) band(b *Band) {
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

func (w *writer) event(e *Event) {
	w.time(e.Time)
	w.text(e.Name)
	w.int(int64(e.Severity))
	w.text(e.Message)
	w.slogAttrs(e.Attrs, maxAttrDepth)
	w.spans(e.Spans)
}

// maxAttrDepth bounds groups within groups: a [slog.LogValuer] may return a group
// that holds itself.
const maxAttrDepth = 8

// What kind of attribute follows its key. The numbers are part of the format.
const (
	attrText byte = iota
	attrBool
	attrInt
	attrUint
	attrFloat
	attrDuration
	attrTime
	attrGroup
	attrEnd byte = 0xff // no attribute, the end of a group
)

// slogAttrs writes a list that ends with a mark: how many there are is known last.
func (w *writer) slogAttrs(as []slog.Attr, depth int) {
	for _, a := range as {
		v := a.Value.Resolve()
		if v.Kind() == slog.KindGroup && depth == 0 || a.Equal(slog.Attr{}) {
			continue
		}
		if w.size() > MaxEncoded {
			break // is refused anyway
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
