package goroutines

import (
	"math"
	"slices"
	"time"
)

// slots is how many floors each horizon keeps: enough for a trend test to mean
// something, few enough for ten thousand groups.
const slots = 12

// horizons are the lengths of one slot on each horizon, in units of the
// shortest: with one of 5 s they cover a minute, 12 minutes and two hours.
func horizons() [3]int64 { return [3]int64{1, 12, 120} }

// floors keeps the least value in each of the last slots. The floor is what
// stays when bursts have passed: requests in flight raise the ceiling of a
// group, leaked goroutines its floor.
type floors struct {
	values  [slots]float64
	n       int   // how many of values count, the last is of the slot under way
	current int64 // index of the slot under way
}

// add takes a value at the slot with the given index. Slots without a value
// repeat the one before.
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

// minSlots is how many floors a trend test needs.
const minSlots = 8

// grows tells a steady rise by at least net from noise, from one step and from a
// rise that has ended: the Mann-Kendall statistic of the whole and of its second
// half, a second half at least a quarter as steep as the whole (Theil-Sen), and
// rising minima of the three thirds. Figures: leak-evidence §5.2, where the rule
// found 97 % of the leaking groups of the Go tree's corpus and no drained one.
func grows(x []float64, net float64) bool {
	if len(x) < minSlots || x[len(x)-1]-x[0] < net {
		return false
	}
	half := x[len(x)/2:]
	slope := theilSen(x)
	return slope > 0 && theilSen(half) >= slope/4 &&
		mannKendall(x) >= 2.33 && mannKendall(half) >= 1.2 && thirdsRise(x)
}

// mannKendall is the z score of a monotone trend. Ties make it smaller.
func mannKendall(x []float64) float64 {
	n, s := float64(len(x)), 0.0
	for i, a := range x {
		for _, b := range x[i+1:] {
			switch {
			case b > a:
				s++
			case b < a:
				s--
			}
		}
	}
	if s == 0 {
		return 0
	}
	return (s - math.Copysign(1, s)) / math.Sqrt(n*(n-1)*(2*n+5)/18)
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

// thirdsRise tells whether the least value of each third is above that of the
// one before.
func thirdsRise(x []float64) bool {
	n := len(x) / 3
	a, b, c := slices.Min(x[len(x)-3*n:len(x)-2*n]), slices.Min(x[len(x)-2*n:len(x)-n]), slices.Min(x[len(x)-n:])
	return a < b && b < c
}

// neverFalls tells a series without a single step down.
func neverFalls(x []float64) bool { return slices.IsSorted(x) }

// track is the history of one group on all horizons.
type track struct {
	levels [3]floors
	seen   time.Time // last with members
	peak   int
	elders *elders // nil: none are watched
}

// add takes the count of the group in a survey; slot is the index of the
// shortest slot at that time.
func (t *track) add(slot int64, now time.Time, count int) {
	for i, length := range horizons() {
		t.levels[i].add(slot/length, float64(count))
	}
	if count > 0 {
		t.seen = now
	}
	t.peak = max(t.peak, count)
}

// hasty is how many times as much a group must have grown to be spoken of on the
// shortest horizon: a pool of a few dozen workers that fills up on demand looks
// like a leak for a minute.
const hasty = 5

// level tells whether the group has stopped growing on the shortest horizon.
func (t *track) level() bool {
	x := t.levels[0].series()
	return len(x) >= minSlots && theilSen(x[len(x)/2:]) <= 0
}

// rising tells whether the group has risen of late, in each of a few slots and by
// at least net: it may be the beginning of a trend.
func (t *track) rising(net int) bool {
	x := t.levels[0].series()
	if len(x) <= risingSlots {
		return false
	}
	x = x[len(x)-1-risingSlots:]
	return neverFalls(x) && x[risingSlots]-x[0] >= float64(net)
}

// growth returns the horizon on which the group grows, shortest first, and how
// fast, in goroutines per shortest slot; ok is false where it does not grow.
func (t *track) growth(net int) (level int, perSlot float64, ok bool) {
	for i, length := range horizons() {
		least := float64(net)
		if i == 0 {
			least *= hasty
		}
		if x := t.levels[i].series(); grows(x, least) {
			return i, theilSen(x) / float64(length), true
		}
	}
	return 0, 0, false
}
