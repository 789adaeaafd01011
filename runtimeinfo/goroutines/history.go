// SPDX-License-Identifier: Apache-2.0

package goroutines

import (
	"math"
	"slices"
	"time"
)

// slots is the number of values that a floor series keeps.
const slots = 12

// horizons are the lengths of a slot of each series of a history, in units of rules.slot. With
// a slot of 5 s the series cover 1, 12 and 120 minutes.
func horizons() [3]int64 { return [3]int64{1, 12, 120} }

// floors keeps the minimum of a number in each of the last slots. Requests in flight raise the
// maximum of a group, leaked goroutines its minimum.
type floors struct {
	values  [slots]float64
	n       int   // length of values; the last one is of the current slot
	current int64 // index of the current slot
}

// add adds a value in the slot with the given index. Slots without a value repeat the previous
// one.
func (f *floors) add(slot int64, v float64) {
	if f.n > 0 && slot <= f.current {
		f.values[f.n-1] = min(f.values[f.n-1], v)
		return
	}
	if f.n > 0 {
		last := f.values[f.n-1]
		for range min(slot-f.current-1, slots) {
			f.push(last)
		}
	}
	f.push(v)
	f.current = slot
}

func (f *floors) push(v float64) {
	if f.n == slots {
		copy(f.values[:], f.values[1:])
		f.n--
	}
	f.values[f.n] = v
	f.n++
}

// series returns the values, oldest first.
func (f *floors) series() []float64 { return f.values[:f.n] }

// rise returns the difference between the last two values and the first two.
func (f *floors) rise() float64 {
	x := f.series()
	if len(x) < 3 {
		return 0
	}
	return slices.Min(x[len(x)-2:]) - slices.Min(x[:2])
}

// history is the number of members of a group over time.
type history struct {
	levels [3]floors // one for each horizon
	seen   time.Time // last survey with members
	watch  *watch    // nil while the group is not suspicious
}

// newHistory returns the history of a group that was empty until now; slot is as for add.
func newHistory(slot int64) *history {
	h := new(history)
	for i, length := range horizons() {
		h.levels[i] = floors{n: int(min(slot/length, slots-1)), current: slot/length - 1}
	}
	return h
}

// add adds the count of a survey; slot is the index of its slot on the shortest horizon.
func (h *history) add(slot int64, now time.Time, count int) {
	for i, length := range horizons() {
		h.levels[i].add(slot/length, float64(count))
	}
	if count > 0 {
		h.seen = now
	}
}

// rising reports whether the floor rose by at least the given number on any horizon.
func (h *history) rising(least float64) bool {
	return slices.ContainsFunc(h.levels[:], func(f floors) bool { return f.rise() >= least })
}

// growth returns the slope of the floor in goroutines per slot, on the shortest horizon on
// which it rises, or 0.
func (h *history) growth() float64 {
	for i, length := range horizons() {
		if h.levels[i].rise() >= 1 {
			if x := h.levels[i].series(); len(x) >= 4 {
				return max(0, theilSen(x)/float64(length))
			}
		}
	}
	return 0
}

// level reports whether the group does not grow on the shortest horizon.
func (h *history) level() bool {
	x := h.levels[0].series()
	return len(x) >= slots/2 && theilSen(x) <= 0
}

// theilSen returns the median of the slopes between all pairs of values, per slot.
func theilSen(x []float64) float64 {
	var all [slots * (slots - 1) / 2]float64
	slopes := all[:0]
	for i, a := range x {
		for j, b := range x[i+1:] {
			slopes = append(slopes, (b-a)/float64(j+1))
		}
	}
	if len(slopes) == 0 {
		return 0
	}
	slices.Sort(slopes)
	return slopes[len(slopes)/2]
}

// residenceRises reports whether members stay longer than before. By Little's law the mean
// time that a member stays is the number of members divided by the rate at which they are
// created. It is estimated at the start and at the end of the shortest horizon, with the rate
// of creations in the whole process.
func residenceRises(members, rate *floors) bool {
	const steady = 1.25 // variation of the ratio at steady load
	x, r := members.series(), rate.series()
	n := min(len(x), len(r)) / 3
	if n == 0 {
		return false
	}
	x, r = x[len(x)-3*n:], r[len(r)-3*n:]
	before, after := mean(x[:n])*mean(r[2*n:]), mean(x[2*n:])*mean(r[:n])
	chance := 2 / math.Sqrt(mean(x[:n])+1) // two standard deviations for so few arrivals
	return after > (steady+chance)*before
}

func mean(x []float64) (m float64) {
	for _, v := range x {
		m += v / float64(len(x))
	}
	return m
}
