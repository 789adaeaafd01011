// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// profile weighs found, missed and false, as the benchmark's three profiles do.
type profile struct {
	name                 string
	found, missed, false float64
}

func profiles() []profile {
	return []profile{{"standard", 1, 1, 0.11}, {"low-FP", 1, 1, 0.22}, {"low-FN", 1, 2, 0.11}}
}

// credit falls from nearly 1 at x = -1 through 0 at x = 0 to -1 beyond x = 3, where x
// is the place of a flag in widths of a span, from the span's right edge.
func credit(x float64) float64 {
	if x > 3 {
		return -1
	}
	return 2/(1+math.Exp(5*x)) - 1
}

// unscored is how many samples at the beginning do not count.
func unscored(n int) int { return int(min(math.Floor(0.15*float64(n)), 750)) }

// cell is what one sample contributes if it is flagged: a gain in a span, a cost
// (below zero) outside.
type cell struct {
	gain  float64
	span  int // over all series; -1 is outside
	score float64
	owner int // the series
}

// sheet is a set of series laid out for scoring.
type sheet struct {
	cells []cell
	live  []bool // by span: whether a sample of it is scored
	days  float64
}

func newSheet(all []*series) *sheet {
	sh := &sheet{}
	for owner, s := range all {
		sh.lay(s, owner)
	}
	return sh
}

// lay adds a series.
func (sh *sheet) lay(s *series, owner int) {
	base := len(sh.live)
	sh.live = append(sh.live, make([]bool, len(s.spans))...)
	next := 0 // the first span that has not ended
	for i := range s.value {
		if next < len(s.spans) && i > s.spans[next].last {
			next++
		}
		if i < unscored(len(s.value)) {
			continue
		}
		c := cell{gain: -1, span: -1, score: s.score[i], owner: owner}
		switch {
		case next < len(s.spans) && i >= s.spans[next].first:
			sp := s.spans[next]
			c.span = base + next
			c.gain = credit(-float64(sp.last-i+1)/float64(sp.last-sp.first+1)) / credit(-1)
			sh.live[c.span] = true
		case next > 0:
			sp := s.spans[next-1]
			c.gain = credit(float64(i-sp.last) / float64(sp.last-sp.first))
		}
		if c.span < 0 && i > 0 {
			sh.days += min(s.when[i].Sub(s.when[i-1]).Hours(), 1.0/6) / 24 // a hole counts ten minutes
		}
		sh.cells = append(sh.cells, c)
	}
}

// outcome at one threshold.
type outcome struct {
	threshold, score float64
	points           float64 // above those of silence
	found, spans     int
	episodes         int // runs of flagged samples outside spans
	perDay           float64
}

func (o outcome) String() string {
	return fmt.Sprintf("%6.2f at %.2f: %d of %d spans, %d false alarms, %.2f a series and day",
		o.score, o.threshold, o.found, o.spans, o.episodes, o.perDay)
}

// at flags every sample whose score reaches the threshold.
func (sh *sheet) at(p profile, threshold float64) outcome {
	o := outcome{threshold: threshold}
	best := make([]float64, len(sh.live))
	for i := range best {
		best[i] = -p.missed
	}
	var raw float64
	last := cell{owner: -1, score: math.Inf(-1)}
	for _, c := range sh.cells {
		switch on := c.score >= threshold; {
		case on && c.span >= 0:
			best[c.span] = max(best[c.span], c.gain*p.found)
		case on:
			raw += c.gain * p.false
			if last.owner != c.owner || last.span >= 0 || last.score < threshold {
				o.episodes++
			}
		}
		last = c
	}
	for i, live := range sh.live {
		if !live {
			continue
		}
		o.spans++
		raw += best[i]
		if best[i] > -p.missed {
			o.found++
		}
	}
	silent := -p.missed * float64(o.spans)
	o.points = raw - silent
	o.score = 100 * o.points / (p.found*float64(len(sh.live)) - silent)
	o.perDay = float64(o.episodes) / sh.days
	return o
}

// best finds the threshold with the highest score.
func (sh *sheet) best(p profile) outcome {
	cells := slices.Clone(sh.cells)
	slices.SortFunc(cells, func(a, b cell) int { return cmp.Compare(b.score, a.score) })
	value := make([]float64, len(sh.live))
	for i := range value {
		value[i] = -p.missed
	}
	var raw, top float64
	threshold := math.Inf(1)
	for i, c := range cells {
		if c.span < 0 {
			raw += c.gain * p.false
		} else if gain := c.gain * p.found; gain > value[c.span] {
			raw += gain - value[c.span]
			value[c.span] = gain
		}
		if last := i+1 == len(cells) || cells[i+1].score != c.score; last && raw > top {
			top, threshold = raw, c.score
		}
	}
	return sh.at(p, threshold)
}
