// SPDX-License-Identifier: Apache-2.0

// Package summary combines the snapshots of several ticks into one, for exporters whose interval is
// longer than the tick.
package summary

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// Summary combines snapshots:
//
//	var sum summary.Summary
//	sum.Add(s1)
//	sum.Add(s2)
//	s := sum.Snapshot() // s2, with the ranges of both
//
// The zero value is ready to use. A Summary is not safe for concurrent use. Add takes a few
// microseconds and does not allocate once the Summary has seen the metrics and labels (BenchmarkAdd). The
// memory does not depend on the number of snapshots: of more than 4,096 series, a Summary keeps the series
// of the newest snapshot, and the series without labels.
type Summary struct {
	newest *runtimeinfo.Snapshot // nil if the summary is empty
	oldest uint64                // Seq of the oldest snapshot
	since  time.Time
	ticks  int
	folded bool // spreads has the values; false for a single snapshot

	spreads map[string]*spread // by keyOf
	limit   int                // length of spreads above which prune runs
	key     []byte             // reused by keyOf
}

// maxSeries is the number of series above which a summary forgets those that its last tick lacks. It
// limits the memory of a summary of many hours. A snapshot has a few hundred.
const maxSeries = 4096

// spread accumulates the values of one metric or series.
type spread struct {
	min, max, sum float64
	ticks         int // number of ticks with a value
	last          float64
	lastSeq       uint64
	labels        bool // the series has labels
}

// add adds the value of p, or its range.
func (x *spread) add(s *runtimeinfo.Snapshot, p *runtimeinfo.Point) {
	one, n := runtimeinfo.Range{Min: p.Number, Mean: p.Number, Max: p.Number}, 1
	if p.Range != nil {
		one, n = *p.Range, max(1, s.Ticks)
	}
	if x.ticks == 0 {
		*x = spread{min: one.Min, max: one.Max, lastSeq: s.Seq, labels: len(p.Labels) > 0}
	}
	x.min, x.max = min(x.min, one.Min), max(x.max, one.Max)
	x.sum += one.Mean * float64(n)
	x.ticks += n
	if s.Seq >= x.lastSeq {
		x.last, x.lastSeq = p.Number, s.Seq
	}
}

// value returns the range of the values.
func (x *spread) value() *runtimeinfo.Range {
	mean := x.sum / float64(x.ticks)
	if math.IsNaN(mean) {
		mean = x.last // the sum has overflowed
	}
	return &runtimeinfo.Range{Min: x.min, Mean: min(max(mean, x.min), x.max), Max: x.max} // rounding may move the mean out
}

// Add adds a snapshot, which may itself be a summary. The one with the greatest [runtimeinfo.Snapshot.Seq] is the
// last tick of the summary, in any order of the calls.
func (s *Summary) Add(x *runtimeinfo.Snapshot) {
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

// fold adds the values of x to the spreads.
func (s *Summary) fold(x *runtimeinfo.Snapshot) {
	for p := range x.Points() {
		if !hasRange(p.Metric) {
			continue
		}
		known := s.spreads[string(s.keyOf(&p))]
		if known == nil {
			if s.spreads == nil {
				s.spreads = map[string]*spread{}
			}
			known = new(spread)
			s.spreads[string(s.key)] = known
		}
		known.add(x, &p)
	}
	if len(s.spreads) > max(s.limit, maxSeries) {
		s.prune()
	}
}

// prune removes the series with labels that the newest snapshot lacks.
func (s *Summary) prune() {
	for key, x := range s.spreads {
		if x.ticks == 0 || x.labels && x.lastSeq != s.newest.Seq {
			delete(s.spreads, key)
		}
	}
	s.limit = 2 * len(s.spreads) // so that each Add does not prune
}

func hasRange(m *runtimeinfo.Metric) bool {
	return m.Ranged && m.Kind != runtimeinfo.KindHistogram
}

// keyOf returns the key of a series in s.spreads. The result is valid until the next call.
func (s *Summary) keyOf(p *runtimeinfo.Point) []byte {
	s.key = append(s.key[:0], p.Metric.Name...)
	for _, value := range p.Attrs() {
		s.key = binary.AppendUvarint(s.key, uint64(len(value)))
		s.key = append(s.key, value...)
	}
	return s.key
}

// Snapshot returns the last snapshot that was added, with the Ticks, Since and ranges of all of them. It
// returns that snapshot itself if it is the only one, and nil if there is none. Its Events are those
// of the last tick. A metric with a range that has no value at the last tick has its last value, for
// example the longest GC pause if a collection ended at an earlier tick; a series with labels that the
// last tick lacks is absent.
func (s *Summary) Snapshot() *runtimeinfo.Snapshot {
	if s.newest == nil || !s.folded {
		return s.newest
	}
	frame := *s.newest
	frame.Ticks, frame.Since = s.ticks, s.since
	b := runtimeinfo.NewBuilder(nil, frame)
	d := b.Draft()
	for p := range s.newest.Points() {
		if x := s.spreads[string(s.keyOf(&p))]; x != nil && hasRange(p.Metric) {
			p.Range = x.value()
		}
		d.AddPoint(p)
	}
	for _, m := range s.newest.Metrics() {
		if !hasRange(m) || m.Keys != nil {
			continue
		}
		p := runtimeinfo.Point{Metric: m}
		if _, ok := s.newest.Number(m.Key()); ok {
			continue
		}
		if x := s.spreads[string(s.keyOf(&p))]; x != nil && x.ticks > 0 {
			p.Number, p.Range = x.last, x.value()
			d.AddPoint(p)
		}
	}
	b.Merge(d)
	return b.Snapshot()
}

// Reset removes all snapshots. It keeps the memory for the next ones.
func (s *Summary) Reset() {
	s.newest, s.oldest, s.since, s.ticks = nil, 0, time.Time{}, 0
	if !s.folded {
		return
	}
	s.folded = false
	for key, x := range s.spreads {
		if x.ticks == 0 {
			delete(s.spreads, key) // it has not been seen for a whole summary
			continue
		}
		*x = spread{}
	}
}
