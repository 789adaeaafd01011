// SPDX-License-Identifier: Apache-2.0

package capacity

import (
	"math"
	"slices"
	"time"
)

const (
	// levels is the number of load levels. A level is a quarter of an octave; the range is a
	// factor of 16, and the lowest level includes all lower loads.
	levels    = 16
	perOctave = 4
	// perLevel is the number of windows kept for each level: a night of low load does not
	// displace the windows of the peak.
	perLevel = 4
)

// history has the newest windows of each load level.
type history struct {
	levels [levels]level
	idle   level // windows without a request
}

// level is a ring buffer of the newest windows of one load level.
type level struct {
	octave  int // of the level, in quarters
	n       int
	next    int
	windows [perLevel]window
}

// add replaces the oldest window of the same level.
func (m *history) add(w *window) {
	if w.rate <= 0 {
		m.idle.add(w)
		return
	}
	o := max(int(math.Floor(perOctave*math.Log2(w.rate))), m.top()-levels+1)
	l := &m.levels[((o%levels)+levels)%levels]
	if l.n > 0 && l.octave != o {
		*l = level{} // a level below the range
	}
	l.octave = o
	l.add(w)
}

func (l *level) add(w *window) {
	l.windows[l.next] = *w
	l.next = (l.next + 1) % perLevel
	l.n = min(l.n+1, perLevel)
}

// top returns the octave of the highest level, or a very low one if there is none.
func (m *history) top() int {
	top := math.MinInt16 // leaves room for lower numbers in 32 bits
	for i := range m.levels {
		if l := &m.levels[i]; l.n > 0 {
			top = max(top, l.octave)
		}
	}
	return top
}

// compare sets the similarity of each window to the present mix.
func (m *history) compare(present *mix) {
	for i := range m.levels {
		l := &m.levels[i]
		for j := range l.windows[:l.n] {
			l.windows[j].like = l.windows[j].likeness(present)
		}
	}
}

// points appends the points to fit a line to.
func (m *history) points(to []point, now time.Time) []point {
	for i := range m.levels {
		to = m.levels[i].points(to, now)
	}
	return m.idle.points(to, now)
}

func (l *level) points(to []point, now time.Time) []point {
	for i := range l.windows[:l.n] {
		w := &l.windows[i]
		age := float64(max(0, now.Sub(w.end))) / float64(halfWeightAge)
		weight := w.like / (1 + age)
		const least = 0.02
		if weight >= least {
			to = append(to, point{x: w.rate, y: w.cpu, weight: weight})
		}
	}
	return to
}

// unqueued returns the mean duration of a request without a queue for CPU, by Little's law and
// for windows similar to the present mix: the median over load levels.
func (m *history) unqueued(usable float64) float64 {
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

// free returns the unused share of the CPU, at least 0.05. In a queue for CPU a request takes
// 1/free times as long.
func free(saturation float64) float64 { return max(0.05, 1-saturation) }
