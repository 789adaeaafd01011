// SPDX-License-Identifier: Apache-2.0

package goroutines

import (
	"math"
	"time"
)

// cohort counts the members that reached an age before the start of a period by what happened
// to them in that period.
type cohort struct {
	stayed int // they exist
	left   int // they ended
	maybe  int // they ended, and had reached the age or were younger
}

// gone returns the number of members that may have ended.
func (c cohort) gone() int { return c.left + c.maybe }

// survival counts the members that reached an age and were observed for a period since. Members
// that ran in a recording do not count as stayed, unless runners is true.
func (m *members) survival(now, age, period time.Duration, runners bool) (c cohort) {
	for _, x := range m.ids {
		if (runners || !x.ran) && now-x.first >= age+period {
			c.stayed++
		}
	}
	for _, e := range m.exits {
		switch {
		case now-e.gone > period:
		case e.last-e.first >= age:
			c.left++
		case e.gone-e.first >= age:
			c.maybe++
		}
	}
	if m.lost > 0 && now-m.lost <= period {
		c.left += keptExits // at least
	}
	return c
}

// aged counts the members of at least the given age, how many of these never ran in a recording,
// and how many the network or another goroutine woke in any recording.
func (m *members) aged(now, age time.Duration) (all, silent, woken int) {
	for _, x := range m.ids {
		if now-x.first < age {
			continue
		}
		all++
		if !x.ran {
			silent++
		}
		if x.woken {
			woken++
		}
	}
	return all, silent, woken
}

// works reports whether the network or other goroutines wake the members: a tenth of them in the
// newest recordings, or a fifth of those of at least the given age in any recording. Members
// that run once a minute are seen only in every twelfth recording of five seconds.
func (m *members) works(now, age time.Duration) bool {
	const few = 5 // members that are not conclusive
	if a, n := m.activity(recentRecordings); n > 0 && a.old >= few && 10*a.woken >= a.old {
		return true
	}
	all, _, woken := m.aged(now, age)
	return all >= minCohort && 5*woken >= all
}

// activity returns the sum of the newest observations, and their number.
func (m *members) activity(most int) (sum observation, n int) {
	for i := len(m.observations) - 1; i >= 0 && n < most; i-- {
		o := &m.observations[i]
		if o.old == 0 {
			continue
		}
		n++
		sum.length += o.length
		sum.old += o.old
		sum.ran += o.ran
		sum.woken += o.woken
		sum.timed += o.timed
	}
	return sum, n
}

// joined returns how many members that exist joined between two observations, including the later
// one. Members that ran in a recording do not count, unless runners is true.
func (m *members) joined(from, to int, runners bool) (n float64) {
	for _, x := range m.ids {
		if (runners || !x.ran) && x.first > m.observations[from].at && x.first <= m.observations[to].at {
			n++
		}
	}
	return n
}

// amount returns the load or the seconds between two observations.
func (m *members) amount(from, to int, byLoad bool) float64 {
	a, b := &m.observations[from], &m.observations[to]
	if byLoad {
		return b.load - a.load
	}
	return (b.at - a.at).Seconds()
}

// perLoad returns how many members that stayed joined per unit of load, from the first
// observation to the last but one, or 0 if unknown.
func (m *members) perLoad() float64 {
	last := len(m.observations) - 2
	if last < 2 || m.every > 1 || m.amount(0, last, true) <= 0 {
		return 0
	}
	return m.joined(0, last, true) / m.amount(0, last, true)
}

// recentLoad returns the load per second since the last observation but one, compared with all
// observations, or 0 if unknown.
func (m *members) recentLoad() float64 {
	n := len(m.observations)
	if n < 3 || m.amount(0, n-1, true) <= 0 {
		return 0
	}
	rate := func(from int) float64 { return m.amount(from, n-1, true) / m.amount(from, n-1, false) }
	return rate(n-2) / rate(0)
}

// pace compares how many members that stayed joined per unit of load, or of time, in the newest
// intervals between recordings and in all of them. Members that ran in a recording do not
// count, unless runners is true. The newest interval does not count, because members that joined
// in it may end soon. The result is NaN for too few intervals.
func (m *members) pace(byLoad, runners bool) float64 {
	last := len(m.observations) - 2
	if last < 2 {
		return math.NaN()
	}
	first := max(0, last-2)
	recent, all, joined := m.amount(first, last, byLoad), m.amount(0, last, byLoad), m.joined(0, last, runners)
	if recent <= 0 || all <= 0 || joined == 0 {
		return math.NaN()
	}
	return m.joined(first, last, runners) / recent * all / joined
}
