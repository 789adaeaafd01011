// SPDX-License-Identifier: Apache-2.0

package runtimeinfo

import (
	"encoding/binary"
	"math"
	"slices"
	"time"
)

// Range has the least, the mean and the greatest value of a metric at the ticks of a summary.
type Range struct {
	Min, Mean, Max float64
}

// Summary combines the snapshots of several ticks into one. The engine uses it for exporters whose
// interval is longer than the tick:
//
//	var sum runtimeinfo.Summary
//	sum.Add(s1)
//	sum.Add(s2)
//	s := sum.Snapshot() // s2, with the ranges of both
//
// The zero value is ready to use. A Summary is not safe for concurrent use. Add takes two
// microseconds and does not allocate once the Summary has seen the metrics and labels (BenchmarkSummaryAdd).
type Summary struct {
	newest *Snapshot // nil if the summary is empty
	oldest uint64    // Seq of the oldest snapshot
	since  time.Time
	ticks  int
	folded bool // spreads and series have the values; false for a single snapshot

	catalogue *Catalogue
	spreads   []spread           // by the position of the metric in catalogue.ranged
	series    map[string]*spread // of metrics with labels, see seriesKey
	key       []byte             // reused by seriesKey
}

// spread accumulates the values of one metric or series.
type spread struct {
	min, max, sum float64
	ticks         int // number of ticks with a value
	last          float64
	lastSeq       uint64
}

// add adds the value v of a snapshot, or its range.
func (x *spread) add(s *Snapshot, v float64, r *Range) {
	one := Range{v, v, v}
	n := 1
	if r != nil {
		one, n = *r, max(1, s.Ticks)
	}
	if x.ticks == 0 {
		*x = spread{min: one.Min, max: one.Max, lastSeq: s.Seq}
	}
	x.min, x.max = min(x.min, one.Min), max(x.max, one.Max)
	x.sum += one.Mean * float64(n)
	x.ticks += n
	if s.Seq >= x.lastSeq {
		x.last, x.lastSeq = v, s.Seq
	}
}

func (x *spread) value() Range {
	mean := x.sum / float64(x.ticks)
	if math.IsNaN(mean) {
		mean = x.last // the sum has overflowed
	}
	return Range{x.min, min(max(mean, x.min), x.max), x.max} // rounding may move the mean out
}

// Add adds a snapshot, which may itself be a summary. The one with the greatest [Snapshot.Seq] is the
// last tick of the summary, in any order of the calls.
func (s *Summary) Add(x *Snapshot) {
	if s.newest == nil {
		s.newest, s.oldest, s.since, s.ticks = x, x.Seq, x.Since, max(1, x.Ticks)
		return
	}
	if !s.folded {
		s.folded = true
		s.fold(s.newest)
	}
	s.ticks += max(1, x.Ticks)
	if x.Seq < s.oldest {
		s.oldest, s.since = x.Seq, x.Since
	}
	if x.Seq >= s.newest.Seq {
		s.newest = x
	}
	s.fold(x)
}

// Ticks returns the number of ticks that were added since the last Reset.
func (s *Summary) Ticks() int { return s.ticks }

// fold adds the values of x to the spreads.
func (s *Summary) fold(x *Snapshot) {
	if s.catalogue != s.newest.catalogue {
		s.rebase(s.newest.catalogue)
	}
	same := x.catalogue == s.catalogue
	for pos, i := range x.catalogue.rangedIndexes() {
		v := x.numbers[i]
		if math.IsNaN(v) {
			continue
		}
		if !same {
			var ok bool
			if pos, ok = s.catalogue.rangedPosition(x.catalogue.metrics[i]); !ok {
				continue
			}
		}
		s.spreads[pos].add(x, v, x.rangeOf(i))
	}
	for i := range x.points {
		if p := &x.points[i]; p.Metric.Ranged && p.Histogram == nil {
			s.seriesOf(p).add(x, p.Number, p.Range)
		}
	}
}

// seriesOf returns the spread of a series.
func (s *Summary) seriesOf(p *Point) *spread {
	x := s.series[string(s.seriesKey(p))]
	if x == nil {
		if s.series == nil {
			s.series = map[string]*spread{}
		}
		x = new(spread)
		s.series[string(s.key)] = x
	}
	return x
}

// rebase changes the catalogue. It keeps the spreads of the metrics that both catalogues have.
func (s *Summary) rebase(c *Catalogue) {
	spreads := make([]spread, len(c.rangedIndexes()))
	for pos, i := range s.catalogue.rangedIndexes() {
		if to, ok := c.rangedPosition(s.catalogue.metrics[i]); ok {
			spreads[to] = s.spreads[pos]
		}
	}
	s.catalogue, s.spreads = c, spreads
}

// rangedIndexes returns c.ranged. c may be nil.
func (c *Catalogue) rangedIndexes() []int {
	if c == nil {
		return nil
	}
	return c.ranged
}

// rangedPosition returns the position of a metric in c.ranged.
func (c *Catalogue) rangedPosition(m *Metric) (int, bool) {
	if c == nil {
		return 0, false
	}
	i, ok := c.index[m]
	if !ok {
		return 0, false
	}
	return slices.BinarySearch(c.ranged, i)
}

// seriesKey returns the key of a series in s.series. The result is valid until the next call.
func (s *Summary) seriesKey(p *Point) []byte {
	b := append(s.key[:0], p.Metric.Key()...)
	for _, l := range p.Labels {
		b = binary.AppendUvarint(b, uint64(len(l)))
		b = append(b, l...)
	}
	s.key = b
	return b
}

// Snapshot returns the last snapshot that was added, with the Ticks, Since and ranges of all of them. It
// returns that snapshot itself if it is the only one, and nil if there is none. Its Events are those
// of the last tick. A metric with a range that has no value at the last tick has its last value, for
// example the longest GC pause if a collection ended at an earlier tick; a series with labels that the
// last tick lacks is absent.
func (s *Summary) Snapshot() *Snapshot {
	if s.newest == nil || !s.folded {
		return s.newest
	}
	c := *s.newest
	c.Ticks, c.Since = s.ticks, s.since
	c.ranges = make([]*Range, len(c.numbers))
	values := make([]Range, len(s.spreads))
	filled := false
	for pos, i := range s.catalogue.rangedIndexes() {
		x := &s.spreads[pos]
		if x.ticks == 0 {
			continue
		}
		values[pos] = x.value()
		c.ranges[i] = &values[pos]
		if math.IsNaN(c.numbers[i]) {
			if !filled {
				c.numbers, filled = slices.Clone(c.numbers), true
			}
			c.numbers[i] = x.last
		}
	}
	c.points = s.withRanges(c.points)
	return &c
}

// withRanges returns a copy of points with the ranges of the series.
func (s *Summary) withRanges(points []Point) []Point {
	if len(s.series) == 0 {
		return points
	}
	points = slices.Clone(points)
	for i := range points {
		p := &points[i]
		if !p.Metric.Ranged || p.Histogram != nil {
			continue
		}
		if x := s.series[string(s.seriesKey(p))]; x != nil && x.ticks > 0 {
			r := x.value()
			p.Range = &r
		}
	}
	return points
}

// Reset removes all snapshots. It keeps the memory for the next ones.
func (s *Summary) Reset() {
	s.newest, s.oldest, s.since, s.ticks = nil, 0, time.Time{}, 0
	if !s.folded {
		return
	}
	s.folded = false
	clear(s.spreads)
	for key, x := range s.series {
		if x.ticks == 0 {
			delete(s.series, key) // it has not been seen for a whole summary
			continue
		}
		*x = spread{}
	}
}
