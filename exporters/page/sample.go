// SPDX-License-Identifier: Apache-2.0

package page

import (
	"math"
	"strings"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// Columns of what a baseline expects begin so; the name of the signal follows.
const (
	bandExpected = "band.expected:"
	bandLower    = "band.lower:"
	bandUpper    = "band.upper:"
)

const (
	// maxLabelled is how many series of one metric with labels become columns.
	maxLabelled = 64
	// maxSignals is how many signals have columns of what is expected of them.
	maxSignals = 20
)

// sampler turns snapshots into rows: a column for each number and each series
// with labels. Counters become rates per second. One goroutine uses it.
type sampler struct {
	history  *history
	labelled map[string]int // columns of a metric with labels, by its key
	host     rater          // what the host pass reads
	tick     rater          // what each tick reads
}

// rater turns counters that are read together into rates.
type rater struct {
	at      time.Time
	last    map[int]float64 // counter by column
	rates   map[int]float32 // of the last change, by column
	pending map[int]float64 // counters of the row under way
}

func newSampler(h *history) *sampler {
	return &sampler{history: h, labelled: map[string]int{}, host: newRater(), tick: newRater()}
}

func newRater() rater {
	return rater{last: map[int]float64{}, rates: map[int]float32{}, pending: map[int]float64{}}
}

// row makes a row of a snapshot.
func (s *sampler) row(snap *runtimeinfo.Snapshot) []float32 {
	row := make([]float32, 0, len(s.history.keys)+8)
	set := func(c int, v float64) { row = with(row, c, v) }
	for p := range snap.Points() {
		if p.Histogram != nil || p.Metric.Subsystem == runtimeinfo.SubsystemLeaks && p.Metric.Keys != nil {
			continue // distributions have quantiles beside them; groups are kept by the survey log
		}
		c := s.columnOf(p)
		if p.Metric.Kind != runtimeinfo.KindCounter {
			set(c, p.Number)
			continue
		}
		s.raterOf(p.Metric).pending[c] = p.Number
	}
	for i := range snap.Bands[:min(len(snap.Bands), maxSignals)] { // those of the process come first
		if b := &snap.Bands[i]; !b.Learning {
			set(s.history.column(bandExpected+b.Signal), b.Expected)
			set(s.history.column(bandLower+b.Signal), b.Lower)
			set(s.history.column(bandUpper+b.Signal), b.Upper)
		}
	}
	s.tick.settle(snap.Time, true, set)
	s.host.settle(snap.Time, s.host.moved(), set)
	return row
}

// with sets a value of a row. What a float32 has no room for is absent, and so is what
// has no column.
func with(row []float32, c int, v float64) []float32 {
	f := float32(v)
	if c < 0 || math.IsInf(float64(f), 0) {
		return row
	}
	for len(row) <= c {
		row = append(row, absent())
	}
	row[c] = f
	return row
}

func (s *sampler) raterOf(m *runtimeinfo.Metric) *rater {
	switch m.Subsystem {
	case runtimeinfo.SubsystemProcess, runtimeinfo.SubsystemContainer, runtimeinfo.SubsystemSystem:
		return &s.host
	default:
		return &s.tick
	}
}

// moved tells whether the counters of the host were read anew: some of them
// move at all times.
func (r *rater) moved() bool {
	for c, v := range r.pending {
		if v != r.last[c] {
			return true
		}
	}
	return false
}

// settle sets the rates of the row under way: new ones, or those of the last
// change where nothing was read since. A counter seen for the first time, or one
// that fell, has none.
func (r *rater) settle(now time.Time, moved bool, set func(int, float64)) {
	seconds := now.Sub(r.at).Seconds()
	for c, v := range r.pending {
		if moved {
			last, known := r.last[c]
			delete(r.rates, c)
			if known && v >= last && seconds > 0 {
				r.rates[c] = float32((v - last) / seconds)
			}
			r.last[c] = v
		}
		if rate, ok := r.rates[c]; ok {
			set(c, float64(rate))
		}
	}
	if moved {
		r.at = now
	}
	clear(r.pending)
}

// columnOf returns the column of a point, -1 if there is no room for it.
func (s *sampler) columnOf(p runtimeinfo.Point) int {
	key := p.Metric.Key()
	if p.Metric.Keys == nil {
		return s.history.column(key)
	}
	series := key + "{" + strings.Join(p.Labels, ",") + "}"
	if !s.history.known(series) {
		if s.labelled[key] == maxLabelled {
			return -1
		}
		s.labelled[key]++
	}
	return s.history.column(series)
}
