// SPDX-License-Identifier: Apache-2.0

package codec

import (
	"math"
	"slices"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// The functions below describe the encoding of each type, for both directions: see [coder].

// recordHeader codes what precedes a snapshot in a record.
func (c *coder) recordHeader(id *SchemaID) {
	c.header()
	c.fixed64((*uint64)(id))
}

// schema codes metrics, with the bounds of those that have them in the schema.
func (c *coder) schema(metrics *[]*runtimeinfo.Metric, bounds *[][]float64) {
	i := 0
	list(c, metrics, func(c *coder, m **runtimeinfo.Metric) {
		if c.reading {
			*m, *bounds = &runtimeinfo.Metric{}, append(*bounds, nil)
		}
		if c.metric(*m); hasSchemaBounds(*m) {
			list(c, &(*bounds)[i], (*coder).float)
		}
		i++
	})
}

func (c *coder) attr(a *runtimeinfo.Attr) {
	text(c, &a.Key)
	text(c, &a.Value)
}

func (c *coder) metric(m *runtimeinfo.Metric) {
	text(c, &m.Name)
	text(c, &m.Unit)
	c.byte((*byte)(&m.Kind))
	text(c, &m.Help)
	text(c, &m.Subsystem)
	c.attr(&m.Attr)
	labelled := m.Keys != nil
	c.bool(&labelled)
	list(c, &m.Keys, text[string])
	if c.reading && labelled && m.Keys == nil {
		m.Keys = []string{}
	}
	// Records of gmpulse before Detail existed have 0 or Headline.
	c.flags(&m.Headline, &m.Detail, &m.Ranged, &m.Fault, &m.FixedLabels)
	key := m.Key() // not needed to read a metric
	text(c, &key)
}

// head codes what precedes the points of a snapshot.
func (c *coder) head(s *runtimeinfo.Snapshot) {
	c.uint(&s.Seq)
	c.time(&s.Time)
	c.time(&s.Start)
	if c.version >= 2 {
		signed(c, &s.Ticks)
		c.time(&s.Since)
	}
	list(c, &s.Resource, (*coder).attr)
}

// lists codes what follows the points of a snapshot, except its events.
func (c *coder) lists(s *runtimeinfo.Snapshot) {
	list(c, &s.Spans, (*coder).span)
	list(c, &s.SpanGroups, (*coder).spanGroup)
	list(c, &s.Bands, (*coder).band)
	if c.version >= 2 {
		list(c, &s.Incidents, (*coder).incident)
	}
}

// points codes the points of a snapshot, which are in the order of the metrics. bounds has the bounds of
// the histograms without labels. Reading, it returns the points.
func (c *coder) points(metrics []*runtimeinfo.Metric, bounds [][]float64, points []runtimeinfo.Point) (read []runtimeinfo.Point) {
	for i, m := range metrics {
		n := 0
		for n < len(points) && points[n].Metric == m {
			n++
		}
		own := points[:n]
		points = points[n:]
		if c.err != nil {
			return nil
		}
		if m.Keys != nil {
			list(c, &own, func(c *coder, p *runtimeinfo.Point) { c.series(m, p) })
		} else {
			own = c.single(m, bounds[i], own)
		}
		if c.reading {
			read = append(read, own...)
		}
	}
	return read
}

// single codes the point of a metric without labels, if it has one. Reading, it returns the point.
func (c *coder) single(m *runtimeinfo.Metric, bounds []float64, own []runtimeinfo.Point) []runtimeinfo.Point {
	p := runtimeinfo.Point{Metric: m, Number: math.Float64frombits(nan)} // absent
	if len(own) > 0 {
		p = own[0]
	}
	if m.Kind != runtimeinfo.KindHistogram {
		if c.number(&p); c.reading && !math.IsNaN(p.Number) {
			return []runtimeinfo.Point{p}
		}
		return nil
	}
	h := p.Histogram
	if h == nil {
		h = &runtimeinfo.Histogram{Bounds: bounds}
	}
	if c.histogram(h); c.reading && h.Counts != nil {
		return []runtimeinfo.Point{{Metric: m, Histogram: h}}
	}
	return nil
}

// number codes the value of a metric without labels.
func (c *coder) number(p *runtimeinfo.Point) {
	c.float(&p.Number)
	c.spread(p)
	if p.Metric.Kind == runtimeinfo.KindCounter {
		c.exemplar(&p.Exemplar)
	}
}

// series codes a value of a metric with labels.
func (c *coder) series(m *runtimeinfo.Metric, p *runtimeinfo.Point) {
	if c.reading {
		*p = runtimeinfo.Point{Metric: m, Labels: make([]string, len(m.Keys))}
	}
	for i := range m.Keys {
		var none string
		label := &none
		if i < len(p.Labels) {
			label = &p.Labels[i]
		}
		text(c, label)
	}
	if m.Kind != runtimeinfo.KindHistogram {
		c.float(&p.Number)
		c.spread(p)
		c.exemplar(&p.Exemplar)
		return
	}
	h := p.Histogram
	if h == nil {
		h = &runtimeinfo.Histogram{}
	}
	list(c, &h.Bounds, (*coder).float)
	if c.histogram(h); c.reading {
		p.Histogram = h
	}
}

// histogram does not code the bounds, which stand in the schema or before the histogram.
func (c *coder) histogram(h *runtimeinfo.Histogram) {
	present := h.Counts != nil
	c.bool(&present)
	list(c, &h.Counts, (*coder).uint)
	if c.reading && present && h.Counts == nil {
		h.Counts = []uint64{}
	}
	c.float(&h.Sum)
	list(c, &h.Exemplars, (*coder).exemplar)
}

// How the range of a value is written. The numbers are part of the format.
const (
	rangeNone     byte = iota
	rangeConstant      // all three are equal to the value
	rangeFull          // followed by minimum, mean and maximum
)

// spread codes the range of a value, if its metric has one.
func (c *coder) spread(p *runtimeinfo.Point) {
	if c.version < 2 || !p.Metric.Ranged || math.IsNaN(p.Number) {
		return
	}
	how, v := rangeFull, p.Number
	if p.Range == nil {
		how = rangeNone
	} else if *p.Range == (runtimeinfo.Range{Min: v, Mean: v, Max: v}) {
		how = rangeConstant
	}
	c.byte(&how)
	if how > rangeFull {
		c.fail("invalid range")
	}
	if c.reading && how != rangeNone {
		p.Range = &runtimeinfo.Range{Min: v, Mean: v, Max: v}
	}
	if how == rangeFull {
		c.float(&p.Range.Min)
		c.float(&p.Range.Mean)
		c.float(&p.Range.Max)
	}
}

// origin is the part that many exemplars of a snapshot share. It is written once.
type origin struct {
	traceID [16]byte
	spanID  [8]byte
	time    time.Time
}

// exemplar codes 0 for no exemplar, 1 and the origin if the record does not have that origin yet, or else
// 2 plus the index of the origin.
func (c *coder) exemplar(p **runtimeinfo.Exemplar) {
	var o origin
	var ref uint64
	if x := *p; x != nil {
		o = origin{x.TraceID, x.SpanID, x.Time}
		ref = uint64(slices.Index(c.origins, o) + 2)
	}
	c.uint(&ref)
	switch {
	case ref == 0:
		return
	case ref == 1:
		c.bytes(o.traceID[:])
		c.bytes(o.spanID[:])
		c.time(&o.time)
		c.origins = append(c.origins, o)
	case ref-2 < uint64(len(c.origins)):
		o = c.origins[ref-2]
	default:
		c.fail("exemplar with an unknown origin")
		return
	}
	if c.reading {
		*p = &runtimeinfo.Exemplar{TraceID: o.traceID, SpanID: o.spanID, Time: o.time}
	}
	c.float(&(*p).Value)
}

func (c *coder) span(s *runtimeinfo.Span) {
	c.bytes(s.TraceID[:])
	c.bytes(s.SpanID[:])
	text(c, &s.Name)
	c.time(&s.Start)
	c.bool(&s.Sampled)
}

// spanGroup does not code Durations, which would multiply the size of the record of a service with many names.
func (c *coder) spanGroup(g *runtimeinfo.SpanGroup) {
	text(c, &g.Name)
	signed(c, &g.Active)
	c.time(&g.Oldest)
	for i := range g.Ages {
		signed(c, &g.Ages[i])
	}
	c.uint(&g.Ended)
	signed(c, &g.P50)
	signed(c, &g.P99)
	signed(c, &g.TickP50)
	signed(c, &g.TickP99)
	if c.version >= 2 {
		c.uint(&g.Errors)
	}
}

func (c *coder) band(b *runtimeinfo.Band) {
	text(c, &b.Signal)
	text(c, &b.Unit)
	c.float(&b.Value)
	c.float(&b.Expected)
	c.float(&b.Lower)
	c.float(&b.Upper)
	c.time(&b.Since)
	c.bool(&b.Learning)
	c.uint(&b.Anomalies)
}

func (c *coder) event(e *runtimeinfo.Event) {
	c.time(&e.Time)
	text(c, &e.Name)
	signed(c, &e.Severity)
	text(c, &e.Message)
	c.slogAttrs(&e.Attrs, maxAttrDepth)
	list(c, &e.Spans, (*coder).span)
	if c.version < 2 {
		return
	}
	has := e.Incident != nil
	if c.bool(&has); has {
		c.incident(&e.Incident)
	}
}

func (c *coder) incident(p **runtimeinfo.Incident) {
	if c.reading {
		*p = &runtimeinfo.Incident{}
	}
	i := *p
	text(c, &i.ID)
	text(c, &i.Phase)
	c.time(&i.Since)
	for _, s := range []*string{&i.Kind, &i.Site, &i.Root, &i.Signal} {
		text(c, s)
	}
	c.float(&i.Size)
	for _, s := range []*string{&i.Unit, &i.Evidence, &i.Hint} {
		text(c, s)
	}
}
