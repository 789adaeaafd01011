// SPDX-License-Identifier: Apache-2.0

package capacity

import (
	"math"
	"slices"
	"time"
)

const (
	// levels of load are told apart, each a quarter of an octave: a factor of 16
	// from the highest to the lowest, which takes in all below it.
	levels    = 16
	perOctave = 4
	// perLevel is how many windows of each level are kept, the newest: so a night
	// of low load does not make the peak of the day forgotten.
	perLevel = 4
)

// memory keeps windows by the level of their load.
type memory struct {
	levels [levels]level
	idle   level // windows without a request
}

// level is a ring of the newest windows of one level of load.
type level struct {
	octave  int // of the level, in quarters
	n       int
	next    int
	windows [perLevel]window
}

// add puts a window in the place of the oldest of its level.
func (m *memory) add(w *window) {
	if w.rate <= 0 {
		m.idle.add(w)
		return
	}
	o := max(int(math.Floor(perOctave*math.Log2(w.rate))), m.top()-levels+1)
	l := &m.levels[((o%levels)+levels)%levels]
	if l.n > 0 && l.octave != o {
		*l = level{} // one that has become too low to be told apart
	}
	l.octave = o
	l.add(w)
}

func (l *level) add(w *window) {
	l.windows[l.next] = *w
	l.next = (l.next + 1) % perLevel
	l.n = min(l.n+1, perLevel)
}

// top is the octave of the highest level; lower than any rate has, where there is none.
func (m *memory) top() int {
	top := math.MinInt16 // and not so low that there is no lower int of 32 bits
	for i := range m.levels {
		if l := &m.levels[i]; l.n > 0 {
			top = max(top, l.octave)
		}
	}
	return top
}

// compare finds out how much each window is like the present mix.
func (m *memory) compare(present *mix) {
	for i := range m.levels {
		l := &m.levels[i]
		for j := range l.windows[:l.n] {
			l.windows[j].like = l.windows[j].likeness(present)
		}
	}
}

// points appends what the line is laid through.
func (m *memory) points(to []point, now time.Time) []point {
	for i := range m.levels {
		to = m.levels[i].points(to, now)
	}
	return m.idle.points(to, now)
}

func (l *level) points(to []point, now time.Time) []point {
	for i := range l.windows[:l.n] {
		w := &l.windows[i]
		age := float64(max(0, now.Sub(w.end))) / float64(memoryAge)
		weight := w.like / (1 + age)
		const least = 0.02
		if weight >= least {
			to = append(to, point{x: w.rate, y: w.cpu, weight: weight})
		}
	}
	return to
}

// unqueued is the time that a request takes on average when nobody is in its way,
// by Little's law, under a mix like the present one: the median over levels of
// load, each freed of the queue for CPU that its load explains.
func (m *memory) unqueued(usable float64) float64 {
	var times [levels]float64
	n := 0
	for i := range m.levels {
		l := &m.levels[i]
		var active, rate float64
		for j := range l.windows[:l.n] {
			w := &l.windows[j]
			if !w.waiting && w.like > 0.25 {
				active += w.active * free(w.cpu/usable)
				rate += w.rate
			}
		}
		if rate > 0 {
			times[n] = active / rate
			n++
		}
	}
	if n == 0 {
		return math.NaN()
	}
	slices.Sort(times[:n])
	return (times[(n-1)/2] + times[n/2]) / 2
}

// free is the share of the CPU that is left, never none: in a queue for CPU a
// request takes 1/free times as long as alone.
func free(saturation float64) float64 { return max(0.05, 1-saturation) }
