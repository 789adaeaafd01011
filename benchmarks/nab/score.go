// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// profile has the weights of found and missed anomalies and of false alarms in one of
// the benchmark's profiles.
type profile struct {
	name                 string
	found, missed, false float64
}

func profiles() []profile {
	return []profile{{"standard", 1, 1, 0.11}, {"low-FP", 1, 1, 0.22}, {"low-FN", 1, 2, 0.11}}
}

// credit is the benchmark's scoring function of the distance x between an alarm and the
// right edge of a span, in widths of the span. It falls from nearly 1 at -1 to 0 at 0,
// and is -1 above 3.
func credit(x float64) float64 {
	if x > 3 {
		return -1
	}
	return 2/(1+math.Exp(5*x)) - 1
}

// unscored returns the number of samples at the beginning that do not count.
func unscored(n int) int { return int(min(math.Floor(0.15*float64(n)), 750)) }

// cell is the contribution of one sample if it is an alarm.
type cell struct {
	gain  float64 // negative outside spans
	span  int     // index over all series; -1 outside
	score float64
	owner int // index of the series
}

// sheet has the samples of several series in the form needed for scoring.
type sheet struct {
	cells []cell
	live  []bool  // for each span, whether one of its samples counts
	days  float64 // length of the time outside spans
}

func newSheet(all []*series) *sheet {
	sh := &sheet{}
	for owner, s := range all {
		sh.add(s, owner)
	}
	return sh
}

// add adds a series.
func (sh *sheet) add(s *series, owner int) {
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
			sh.days += min(s.when[i].Sub(s.when[i-1]).Hours(), 1.0/6) / 24 // a gap counts as at most ten minutes
		}
		sh.cells = append(sh.cells, c)
	}
}

// outcome is the result at one threshold.
type outcome struct {
	threshold, score float64
	points           float64 // in addition to the points of a detector without alarms
	found, spans     int
	episodes         int     // runs of consecutive alarms outside spans
	perDay           float64 // episodes
}

func (o outcome) String() string {
	return fmt.Sprintf("%6.2f at %.2f: %d of %d spans, %d false alarms, %.2f a series and day",
		o.score, o.threshold, o.found, o.spans, o.episodes, o.perDay)
}

// at returns the outcome if each sample whose score reaches the threshold is an alarm.
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

// best returns the outcome at the threshold with the highest score.
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
