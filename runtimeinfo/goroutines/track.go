// SPDX-License-Identifier: Apache-2.0

package goroutines

import (
	"math"
	"slices"
	"time"
)

// slots is how many floors each horizon keeps.
const slots = 12

// horizons are the lengths of one slot on each horizon, in units of the shortest:
// with a slot of 5 s they cover a minute, 12 minutes and two hours.
func horizons() [3]int64 { return [3]int64{1, 12, 120} }

// floors keeps the least value in each of the last slots. Requests in flight raise
// the ceiling of a group; leaked goroutines raise its floor.
type floors struct {
	values  [slots]float64
	n       int   // how many of values count; the last is of the slot under way
	current int64 // index of the slot under way
}

// add takes a value at the slot with the given index. Slots without a value repeat
// the one before.
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

// series returns the floors, oldest first.
func (f *floors) series() []float64 { return f.values[:f.n] }

// rise returns how far the last two floors are above the first two.
func (f *floors) rise() float64 {
	x := f.series()
	if len(x) < 3 {
		return 0
	}
	return slices.Min(x[len(x)-2:]) - slices.Min(x[:2])
}

// track is the history of one group over surveys.
type track struct {
	levels [3]floors
	seen   time.Time // last survey with members
	watch  *watch    // nil while nothing is suspicious
}

// add takes the count of the group in a survey; slot is the index of the shortest
// slot at that time.
func (t *track) add(slot int64, now time.Time, count int) {
	for i, length := range horizons() {
		t.levels[i].add(slot/length, float64(count))
	}
	if count > 0 {
		t.seen = now
	}
}

// rising reports whether the floor of the group rose by least on any horizon.
func (t *track) rising(least float64) bool {
	for i := range t.levels {
		if t.levels[i].rise() >= least {
			return true
		}
	}
	return false
}

// growth returns how fast the floor rises, in goroutines per shortest slot, on the
// shortest horizon on which it does; zero where it does not.
func (t *track) growth() float64 {
	for i, length := range horizons() {
		if t.levels[i].rise() >= 1 {
			if x := t.levels[i].series(); len(x) >= 4 {
				return max(0, theilSen(x)/float64(length))
			}
		}
	}
	return 0
}

// level reports whether the group has not grown on the shortest horizon.
func (t *track) level() bool {
	x := t.levels[0].series()
	return len(x) >= slots/2 && theilSen(x) <= 0
}

// theilSen is the median of the slopes between all pairs, per slot.
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

// residenceRises compares the members for each creation in the process at the end
// and at the start of the shortest horizon: by Little's law the mean time that a
// member stays.
func residenceRises(members, rate *floors) bool {
	const steady = 1.25 // the ratio varies by so much at a steady load
	x, r := members.series(), rate.series()
	n := min(len(x), len(r)) / 3
	if n == 0 {
		return false
	}
	x, r = x[len(x)-3*n:], r[len(r)-3*n:]
	before, after := mean(x[:n])*mean(r[2*n:]), mean(x[2*n:])*mean(r[:n])
	chance := 2 / math.Sqrt(mean(x[:n])+1) // two standard deviations of so few arrivals
	return after > (steady+chance)*before
}

func mean(x []float64) (m float64) {
	for _, v := range x {
		m += v / float64(len(x))
	}
	return m
}
