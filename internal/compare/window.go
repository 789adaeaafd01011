// SPDX-License-Identifier: Apache-2.0

package compare

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/gmpulse/gmpulse/internal/abtest"
)

const (
	// Variation over this time and longer is part of the error of an estimate, see [abtest.Ratio]. It
	// is a few times as long as records are apart and as what disturbs a service for a moment.
	slowest = 20 * time.Second
	// slowestPaired is the same for two recordings at the same time: what disturbs both for longer
	// cancels.
	slowestPaired = 10 * time.Second

	minWaves, maxWaves = 4, 30
	maxBlocks          = 120
)

// window is the part of a recording under load, after the warm-up, as blocks of one or more intervals.
type window struct {
	from, to time.Time
	interval time.Duration // between two records, the median
	blocks   [][]step
	waves    int
	requests string // key of the counter of requests; empty if there are none
}

// step is the time between two records.
type step struct {
	prev, cur *sample
	seconds   float64
}

// counter returns by how much a counter rose. ok is false if a record lacks it.
func (s *step) counter(key string) (v float64, ok bool) {
	a, ok1 := s.prev.values[key]
	b, ok2 := s.cur.values[key]
	return b - a, ok1 && ok2 && b >= a
}

// counters returns by how much some counters rose together. A system may lack some of them, but not all.
func (s *step) counters(keys []string) (sum float64, ok bool) {
	for _, key := range keys {
		v, found := s.counter(key)
		sum, ok = sum+v, ok || found
	}
	return sum, ok
}

// mean returns the mean of a gauge: of all ticks of a summary, or else the value at the end.
func (s *step) mean(key string) (v float64, ok bool) {
	if v, ok = s.cur.values[key+"_mean"]; ok {
		return v, true
	}
	v, ok = s.cur.values[key]
	return v, ok
}

// root returns what ended under a name.
func (s *step) root(name string) root {
	cur, prev := s.cur.roots[name], s.prev.roots[name]
	switch {
	case cur == nil || prev == nil && len(s.prev.roots) >= maxRootSpans:
		return root{durations: histogram{}}
	case prev == nil || cur.ended < prev.ended: // the name is new, or was replaced and has come back
		prev = &root{durations: histogram{}}
	}
	return root{
		ended: cur.ended - prev.ended, errors: max(0, cur.errors-prev.errors), seconds: max(0, cur.seconds-prev.seconds),
		durations: cur.durations.minus(prev.durations),
	}
}

// window returns the part of r that counts.
func (r *Recording) window(requests string, warmup time.Duration) window {
	var steps []step
	for i := range r.samples[1:] {
		s := step{prev: &r.samples[i], cur: &r.samples[i+1]}
		s.seconds = s.cur.at.Sub(s.prev.at).Seconds()
		steps = append(steps, s)
	}
	w := window{requests: requests}
	steps = w.underLoad(steps, warmup)
	if len(steps) == 0 {
		return w
	}
	w.from, w.to = steps[0].prev.at, steps[len(steps)-1].cur.at
	gaps := make([]float64, len(steps))
	for i := range steps {
		gaps[i] = steps[i].seconds
	}
	slices.Sort(gaps)
	w.interval = time.Duration(gaps[len(gaps)/2] * float64(time.Second))
	w.blocks = slices.Collect(slices.Chunk(steps, (len(steps)+maxBlocks-1)/maxBlocks))
	w.waves = waves(w.to.Sub(w.from), slowest)
	return w
}

func waves(length, slowest time.Duration) int {
	return min(maxWaves, max(minWaves, int(length/slowest)))
}

// pair limits two windows to the time that both have, divided into the same blocks, and reports whether
// that is most of their time. Otherwise it does nothing.
func pair(a, b *window) bool {
	from, to := a.from, a.to
	if b.from.After(from) {
		from = b.from
	}
	if b.to.Before(to) {
		to = b.to
	}
	both := to.Sub(from)
	if both < max(a.to.Sub(a.from), b.to.Sub(b.from))/5*4 {
		return false
	}
	length := max(a.interval, b.interval)
	if length < 5*time.Second {
		length *= 2 // records that are late by a part of the interval stay in their block
	}
	length = max(length, both/maxBlocks, 1)
	x, y := a.within(from, to, length), b.within(from, to, length)
	var blocks [2][][]step
	for i := range x {
		if len(x[i]) > 0 && len(y[i]) > 0 {
			blocks[0], blocks[1] = append(blocks[0], x[i]), append(blocks[1], y[i])
		}
	}
	if len(blocks[0]) < abtest.MinBlocks {
		return false
	}
	for _, w := range []*window{a, b} {
		w.from, w.to, w.waves = from, to, waves(both, max(slowestPaired, 2*length))
	}
	a.blocks, b.blocks = blocks[0], blocks[1]
	return true
}

// within returns the steps between two times, in blocks of a length by the middle of the step.
func (w *window) within(from, to time.Time, length time.Duration) [][]step {
	blocks := make([][]step, int(to.Sub(from)/length)+1)
	for _, steps := range w.blocks {
		for _, s := range steps {
			middle := s.prev.at.Add(s.cur.at.Sub(s.prev.at) / 2)
			if !middle.Before(from) && middle.Before(to) {
				i := int(middle.Sub(from) / length)
				blocks[i] = append(blocks[i], s)
			}
		}
	}
	return blocks
}

// underLoad removes the time before the first and after the last request, and what remains of the
// warm-up: the first moments of the process, and of the load if it begins within the recording.
func (w *window) underLoad(steps []step, warmup time.Duration) []step {
	busy := func(s step) bool {
		n, ok := s.counter(w.requests)
		return ok && n > 0
	}
	from := time.Time{}
	if len(steps) > 0 {
		from = steps[0].prev.start
	}
	if w.requests != "" {
		first := slices.IndexFunc(steps, busy)
		if first < 0 {
			return nil
		}
		if first > 0 {
			from = steps[first].prev.at
		}
		last := len(steps)
		for !busy(steps[last-1]) {
			last--
		}
		if last < len(steps) {
			last-- // the load ended within this interval
		}
		steps = steps[:last]
	}
	begin := slices.IndexFunc(steps, func(s step) bool { return !s.prev.at.Before(from.Add(warmup)) })
	if begin < 0 {
		return nil
	}
	return steps[begin:]
}

// measured is an estimate and the blocks that its error is from. blocks is nil if a block is missing, or
// the error is not from blocks alone.
type measured struct {
	abtest.Estimate
	blocks []abtest.Block
}

// measure returns the ratio of two quantities of a step, each of which may be missing.
func (w *window) measure(y, x func(*step) (float64, bool)) (m measured, ok bool) {
	var blocks []abtest.Block
	for _, steps := range w.blocks {
		var b abtest.Block
		complete := true
		for i := range steps {
			vy, ok1 := y(&steps[i])
			vx, ok2 := x(&steps[i])
			complete = complete && ok1 && ok2
			b.Y, b.X = b.Y+vy, b.X+vx
		}
		if complete {
			blocks = append(blocks, b)
		}
	}
	m = w.ratio(blocks)
	if len(blocks) < len(w.blocks) {
		m.blocks = nil
	}
	return m, len(blocks) > 0
}

func (w *window) ratio(blocks []abtest.Block) measured {
	return measured{abtest.Ratio(blocks, w.waves), blocks}
}

// total returns the sum of a quantity over all steps that have it.
func (w *window) total(of func(*step) (float64, bool)) (sum float64) {
	for _, steps := range w.blocks {
		for i := range steps {
			if v, ok := of(&steps[i]); ok {
				sum += v
			}
		}
	}
	return sum
}

// rootBlocks returns what ended under a name in each block.
func (w *window) rootBlocks(name string) []root {
	all := make([]root, len(w.blocks))
	for i, steps := range w.blocks {
		all[i].durations = histogram{}
		for j := range steps {
			r := steps[j].root(name)
			all[i].ended, all[i].errors, all[i].seconds = all[i].ended+r.ended, all[i].errors+r.errors, all[i].seconds+r.seconds
			all[i].durations.add(r.durations)
		}
	}
	return all
}

// rootNames returns the number of spans that ended in the window, by name.
func (w *window) rootNames() map[string]float64 {
	ended := map[string]float64{}
	for _, steps := range w.blocks {
		for i := range steps {
			for name := range steps[i].cur.roots {
				if n := steps[i].root(name).ended; n > 0 {
					ended[name] += n
				}
			}
		}
	}
	return ended
}

// byCount returns the names, the most frequent in both windows first.
func byCount(a, b map[string]float64) []string {
	names := map[string]float64{}
	maps.Copy(names, a)
	for name, n := range b {
		names[name] += n
	}
	return slices.SortedFunc(maps.Keys(names), func(x, y string) int {
		return cmp.Or(-cmp.Compare(names[x], names[y]), cmp.Compare(x, y))
	})
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
