// SPDX-License-Identifier: Apache-2.0

package codec

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"math"
	"math/bits"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// reader decodes the output of [writer]. After the first error all its methods return zero
// values, so that the caller needs to check only end.
type reader struct {
	b       []byte
	v       byte // version of the encoding
	err     error
	origins []origin
}

// The minimum size in bytes of a list element. A list that claims more elements than fit into
// the rest of the input is malformed, and no memory is allocated for it.
const (
	minAttr      = 2
	minText      = 1
	minMetric    = 11
	minFloat     = 1
	minSpan      = 29
	minSpanGroup = 26
	minBand      = 11
	minEvent     = 8
	minIncident  = 13
	minSeries    = 2 // plus one label per key
)

func (r *reader) fail(what string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s, %d bytes before the end", ErrMalformed, what, len(r.b))
	}
	r.b = nil
}

// end returns the first error. Input after the last field is an error.
func (r *reader) end() error {
	if r.err == nil && len(r.b) > 0 {
		r.fail("trailing bytes")
	}
	return r.err
}

func (r *reader) version() {
	if r.v = r.byte(); r.err == nil && (r.v < 1 || r.v > codecVersion) {
		r.fail(fmt.Sprintf("version %d; this version of gmpulse reads up to %d", r.v, codecVersion))
	}
}

func (r *reader) take(n int) []byte {
	if n > len(r.b) {
		r.fail("truncated")
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) uint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail("invalid number")
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) int() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.fail("invalid number")
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) fixed64() uint64 {
	if b := r.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

func (r *reader) bool() bool {
	v := r.byte()
	if v > 1 {
		r.fail("invalid bool")
	}
	return v == 1
}

// count reads the length of a list whose elements take at least least bytes each.
func (r *reader) count(least int) int {
	n := r.uint()
	if n > uint64(len(r.b)/least) {
		r.fail("list longer than the input")
		return 0
	}
	return int(n)
}

func (r *reader) text() string {
	n := r.uint()
	if n > MaxEncodedText {
		r.fail("string too long")
		return ""
	}
	return string(r.take(int(n)))
}

func (r *reader) float() float64 { return math.Float64frombits(bits.ReverseBytes64(r.uint()) ^ nan) }

func (r *reader) floats() []float64 {
	return readList(r, minFloat, func(r *reader) float64 { return r.float() })
}

func (r *reader) time() time.Time {
	sec, nsec, offset := r.int(), r.uint(), r.int()
	const day = 24 * 60 * 60
	if nsec >= 1e9 || offset < -day || offset > day {
		r.fail("invalid time")
		return time.Time{}
	}
	t := time.Unix(sec, int64(nsec)).UTC()
	if offset == 0 {
		return t
	}
	return t.In(time.FixedZone("", int(offset)))
}

// readList reads the length of a list and its elements. It returns nil for an empty list.
func readList[T any](r *reader, least int, one func(*reader) T) []T {
	n := r.count(least)
	if n == 0 {
		return nil
	}
	list := make([]T, n)
	for i := range list {
		if list[i] = one(r); r.err != nil {
			return nil
		}
	}
	return list
}

func (r *reader) attr() runtimeinfo.Attr { return runtimeinfo.Attr{Key: r.text(), Value: r.text()} }

func (r *reader) attrs() []runtimeinfo.Attr { return readList(r, minAttr, (*reader).attr) }

func (r *reader) texts() []string { return readList(r, minText, (*reader).text) }

func (r *reader) metric() *runtimeinfo.Metric {
	m := runtimeinfo.Metric{
		Name: r.text(), Unit: r.text(), Kind: runtimeinfo.Kind(r.byte()), Help: r.text(),
		Subsystem: runtimeinfo.Subsystem(r.text()), Attr: r.attr(),
	}
	labelled := r.bool()
	m.Keys = r.texts()
	if labelled && m.Keys == nil {
		m.Keys = []string{}
	}
	flags := r.byte()
	if flags >= flagsEnd {
		r.fail("invalid flags of a metric")
	}
	m.Headline, m.Detail, m.Ranged = flags&headline != 0, flags&detail != 0, flags&ranged != 0
	m.Fault, m.FixedLabels = flags&fault != 0, flags&fixedLabels != 0
	r.text() // the key, which NewMetric derives from the other fields
	return runtimeinfo.NewMetric(m)
}

func (r *reader) values(sch *schema) (points []runtimeinfo.Point) {
	for i, m := range sch.catalogue.Metrics() {
		switch {
		case r.err != nil:
			return nil
		case m.Keys != nil:
			for n := r.count(minSeries + len(m.Keys)); n > 0 && r.err == nil; n-- {
				points = append(points, r.series(m))
			}
		case m.Kind == runtimeinfo.KindHistogram:
			if h := r.histogram(sch.bounds[i]); h.Counts != nil {
				points = append(points, runtimeinfo.Point{Metric: m, Histogram: &h})
			}
		default:
			if p := r.number(m); !math.IsNaN(p.Number) {
				points = append(points, p)
			}
		}
	}
	return points
}

func (r *reader) number(m *runtimeinfo.Metric) runtimeinfo.Point {
	p := runtimeinfo.Point{Metric: m, Number: r.float()}
	p.Range = r.spread(&p)
	if m.Kind == runtimeinfo.KindCounter {
		p.Exemplar = r.exemplar()
	}
	return p
}

// spread reads the range of a value.
func (r *reader) spread(p *runtimeinfo.Point) *runtimeinfo.Range {
	if r.v < 2 || !p.Metric.Ranged || math.IsNaN(p.Number) {
		return nil
	}
	switch how := r.byte(); how {
	case rangeNone:
		return nil
	case rangeConstant:
		return &runtimeinfo.Range{Min: p.Number, Mean: p.Number, Max: p.Number}
	case rangeFull:
		return &runtimeinfo.Range{Min: r.float(), Mean: r.float(), Max: r.float()}
	default:
		r.fail("invalid range")
		return nil
	}
}

func (r *reader) exemplar() *runtimeinfo.Exemplar {
	i := r.uint()
	switch {
	case i == 0:
		return nil
	case i == 1:
		var o origin
		copy(o.traceID[:], r.take(len(o.traceID)))
		copy(o.spanID[:], r.take(len(o.spanID)))
		o.time = r.time()
		r.origins = append(r.origins, o)
		i = uint64(len(r.origins)) + 1
	case i-2 >= uint64(len(r.origins)):
		r.fail("exemplar with an unknown origin")
		return nil
	}
	o := &r.origins[i-2]
	return &runtimeinfo.Exemplar{TraceID: o.traceID, SpanID: o.spanID, Time: o.time, Value: r.float()}
}

func (r *reader) series(m *runtimeinfo.Metric) runtimeinfo.Point {
	p := runtimeinfo.Point{Metric: m, Labels: make([]string, len(m.Keys))}
	for i := range p.Labels {
		p.Labels[i] = r.text()
	}
	if m.Kind != runtimeinfo.KindHistogram {
		p.Number = r.float()
		p.Range, p.Exemplar = r.spread(&p), r.exemplar()
		return p
	}
	h := r.histogram(r.floats())
	p.Histogram = &h
	return p
}

func (r *reader) histogram(bounds []float64) runtimeinfo.Histogram {
	h := runtimeinfo.Histogram{Bounds: bounds}
	present := r.bool()
	h.Counts = readList(r, minFloat, (*reader).uint)
	if present && h.Counts == nil {
		h.Counts = []uint64{}
	}
	h.Sum = r.float()
	h.Exemplars = readList(r, minFloat, (*reader).exemplar)
	return h
}

func (r *reader) span() (s runtimeinfo.Span) {
	copy(s.TraceID[:], r.take(len(s.TraceID)))
	copy(s.SpanID[:], r.take(len(s.SpanID)))
	s.Name, s.Start, s.Sampled = r.text(), r.time(), r.bool()
	return s
}

func (r *reader) spans() []runtimeinfo.Span { return readList(r, minSpan, (*reader).span) }

func (r *reader) spanGroup() runtimeinfo.SpanGroup {
	g := runtimeinfo.SpanGroup{Name: r.text(), Active: int(r.int()), Oldest: r.time()}
	for i := range g.Ages {
		g.Ages[i] = int(r.int())
	}
	g.Ended, g.P50, g.P99 = r.uint(), time.Duration(r.int()), time.Duration(r.int())
	g.TickP50, g.TickP99 = time.Duration(r.int()), time.Duration(r.int())
	if r.v >= 2 {
		g.Errors = r.uint()
	}
	return g
}

func (r *reader) band() runtimeinfo.Band {
	return runtimeinfo.Band{
		Signal: r.text(), Unit: r.text(),
		Value: r.float(), Expected: r.float(), Lower: r.float(), Upper: r.float(),
		Since: r.time(), Learning: r.bool(), Anomalies: r.uint(),
	}
}

func (r *reader) event() runtimeinfo.Event {
	e := runtimeinfo.Event{
		Time: r.time(), Name: r.text(), Severity: slog.Level(r.int()), Message: r.text(),
		Attrs: r.slogAttrs(maxAttrDepth), Spans: r.spans(),
	}
	if r.v >= 2 && r.bool() {
		e.Incident = r.incident()
	}
	return e
}

func (r *reader) incident() *runtimeinfo.Incident {
	return &runtimeinfo.Incident{
		ID: r.text(), Phase: runtimeinfo.IncidentPhase(r.text()), Since: r.time(),
		Kind: r.text(), Site: r.text(), Root: r.text(), Signal: r.text(),
		Size: r.float(), Unit: r.text(), Evidence: r.text(), Hint: r.text(),
	}
}

func (r *reader) slogAttrs(depth int) (as []slog.Attr) {
	for r.err == nil {
		kind := r.byte()
		if kind == attrEnd || r.err != nil {
			return as
		}
		as = append(as, slog.Attr{Key: r.text(), Value: r.slogValue(kind, depth)})
	}
	return nil
}

func (r *reader) slogValue(kind byte, depth int) slog.Value {
	switch kind {
	case attrText:
		return slog.StringValue(r.text())
	case attrBool:
		return slog.BoolValue(r.bool())
	case attrInt:
		return slog.Int64Value(r.int())
	case attrUint:
		return slog.Uint64Value(r.uint())
	case attrFloat:
		return slog.Float64Value(r.float())
	case attrDuration:
		return slog.DurationValue(time.Duration(r.int()))
	case attrTime:
		return slog.TimeValue(r.time())
	case attrGroup:
		if depth > 0 {
			return slog.GroupValue(r.slogAttrs(depth - 1)...)
		}
	}
	r.fail("unknown kind of attribute")
	return slog.Value{}
}
