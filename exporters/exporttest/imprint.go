// SPDX-License-Identifier: Apache-2.0

package exporttest

import (
	"fmt"
	"slices"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// imprint is what a snapshot showed at one moment. It shares no memory with it.
type imprint struct {
	snapshot runtimeinfo.Snapshot // exported fields only, events without attributes
	attrs    []string             // the attributes of each event, as text
	points   []point
}

// point holds the exported fields of a metric and one of its values.
type point struct {
	metric    runtimeinfo.Metric
	labels    []string
	number    float64
	histogram runtimeinfo.Histogram
}

func imprintOf(s *runtimeinfo.Snapshot) imprint {
	im := imprint{snapshot: runtimeinfo.Snapshot{
		Seq: s.Seq, Time: s.Time, Start: s.Start,
		Resource: slices.Clone(s.Resource),
		Spans:    slices.Clone(s.Spans),
		Events:   slices.Clone(s.Events),
	}}
	for i := range im.snapshot.Events {
		e := &im.snapshot.Events[i]
		im.attrs = append(im.attrs, fmt.Sprint(e.Attrs))
		e.Attrs, e.Spans = nil, slices.Clone(e.Spans)
	}
	for p := range s.Points() {
		im.points = append(im.points, pointOf(p))
	}
	return im
}

func pointOf(p runtimeinfo.Point) point {
	m := p.Metric
	c := point{
		metric: runtimeinfo.Metric{
			Name: m.Name, Unit: m.Unit, Kind: m.Kind, Help: m.Help, Subsystem: m.Subsystem,
			Attr: m.Attr, Keys: slices.Clone(m.Keys), Headline: m.Headline,
		},
		labels: slices.Clone(p.Labels),
		number: p.Number,
	}
	if h := p.Histogram; h != nil {
		c.histogram = runtimeinfo.Histogram{Bounds: slices.Clone(h.Bounds), Counts: slices.Clone(h.Counts), Sum: h.Sum}
	}
	return c
}
