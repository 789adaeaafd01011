// SPDX-License-Identifier: Apache-2.0

package goroutines

import (
	"math"
	"time"
)

const (
	// minTracked is the size from which a group's members are followed by id.
	minTracked = 8
	// maxMembers bounds the ids that are kept of one group. Of a larger group a
	// sample is kept: the ids divisible by a power of two.
	maxMembers = 4096
	// keptLooks is how many recordings a group remembers, and keptExits how many
	// ends of members.
	keptLooks, keptExits = 24, 1024
)

// memberLog follows the goroutines of the larger groups from one recording to the
// next by their ids, which the runtime never reuses. It knows which members stayed,
// which ended, and which of them ran. Times are durations since the log began.
type memberLog struct {
	recordings int
	last       time.Duration // when the last recording ended
	young      time.Duration // ends below this age are not kept
	groups     map[Key]*members
}

// members are the goroutines of one group.
type members struct {
	ids   map[uint64]member
	every uint64        // only ids divisible by it are kept; a power of two
	exits []exit        // of members that were not young
	lost  time.Duration // when the newest exit ended that is not kept any more
	looks []look
	count int           // in the last recording, not sampled
	since time.Duration // when the group was first recorded

	lines    map[Site]int // creation lines of members that were created in recordings
	creation []Site       // the newest creation stack
	newest   Site         // the application's line in it
	chain    map[Site]int // every application line on the creation stacks
}

// member is one goroutine.
type member struct {
	first time.Duration // when it was first recorded
	ran   bool          // it ran in one of the recordings after that
}

// exit is the end of a member: it was there at last, and not at the recording at gone.
type exit struct{ first, last, gone time.Duration }

// look is what one recording showed of a group: of the members that were older than
// the recording, how many ran in it, and what woke those.
type look struct {
	at, length time.Duration
	size       int // members, not sampled
	old, ran   int
	gone       int     // members of the recording before that have ended
	used       int     // woken by the network or by a goroutine outside the group's family
	timed      int     // woken by a timer
	load       float64 // a cumulative measure of the load, see groupTracker.loadOf
}

// add takes a recording that began at a time.
func (l *memberLog) add(r *Recording, at time.Duration, p *program) {
	l.recordings++
	l.last = at + r.Duration
	keys, places := groupRecorded(r)
	for key, m := range l.groups {
		m.compare(r, keys, places, key, at, l.young)
	}
	for key, list := range byKey(r, keys) {
		m := l.groups[key]
		if m == nil {
			if len(list) < minTracked {
				continue
			}
			m = &members{ids: map[uint64]member{}, every: 1, since: at, lines: map[Site]int{}, chain: map[Site]int{}}
			l.groups[key] = m
			m.firstLook(r, list, places, at)
		}
		m.join(r, list, at, p)
	}
	for key, m := range l.groups {
		if m.count == 0 && len(m.ids) == 0 {
			delete(l.groups, key)
		}
	}
}

// groupRecorded returns the key of each goroutine, and where each id stands. A
// goroutine without a stack has no key.
func groupRecorded(r *Recording) (keys []Key, places map[uint64]int) {
	keys, places = make([]Key, len(r.Goroutines)), make(map[uint64]int, len(r.Goroutines))
	shared := map[*Site]Key{} // most goroutines share a stack
	for i := range r.Goroutines {
		g := &r.Goroutines[i]
		places[g.ID] = i
		if len(g.Stack) == 0 {
			continue
		}
		k, ok := shared[&g.Stack[0]]
		if !ok {
			if k, ok = g.Key(); ok {
				k = k.plain()
			}
			shared[&g.Stack[0]] = k
		}
		keys[i] = k
	}
	return keys, places
}

func byKey(r *Recording, keys []Key) map[Key][]int {
	all := map[Key][]int{}
	for i := range r.Goroutines {
		if keys[i] != (Key{}) {
			all[keys[i]] = append(all[keys[i]], i)
		}
	}
	return all
}

// compare looks for the members of before.
func (m *members) compare(r *Recording, keys []Key, places map[uint64]int, key Key, at, young time.Duration) {
	now := look{at: at, length: r.Duration}
	last := m.since
	if n := len(m.looks); n > 0 {
		last = m.looks[n-1].at
	}
	var driven drive
	for id, x := range m.ids {
		i, ok := places[id]
		switch {
		case !ok:
			delete(m.ids, id)
			now.gone++
			if at-x.first >= young {
				m.keep(exit{x.first, last, at})
			}
		case keys[i] != key: // it ran: it waits somewhere else now
			delete(m.ids, id)
			now.old++
			now.ran++
		default:
			now.count(r, i, places, &driven)
			if r.Goroutines[i].Ran && !x.ran {
				m.ids[id] = member{first: x.first, ran: true}
			}
		}
	}
	m.count = 0
	now.settle(&driven)
	m.looks = appendBounded(m.looks, now, keptLooks)
}

// keep remembers the end of a member.
func (m *members) keep(e exit) {
	if len(m.exits) == keptExits {
		m.lost = max(m.lost, m.exits[0].gone)
	}
	m.exits = appendBounded(m.exits, e, keptExits)
}

// firstLook counts the members of a group that is followed from now on.
func (m *members) firstLook(r *Recording, list []int, places map[uint64]int, at time.Duration) {
	now := look{at: at, length: r.Duration}
	var driven drive
	for _, i := range list {
		if !r.Goroutines[i].Created {
			now.count(r, i, places, &driven)
		}
	}
	now.settle(&driven)
	m.looks = append(m.looks, now)
}

// drive counts members that goroutines woke which a timer had woken themselves.
type drive struct {
	members int
	wakers  map[uint64]struct{}
}

// count adds a goroutine that is older than the recording.
func (l *look) count(r *Recording, i int, places map[uint64]int, driven *drive) {
	g := &r.Goroutines[i]
	l.old++
	if !g.Ran {
		return
	}
	l.ran++
	switch g.Wakeup {
	case WakeupTimer:
		l.timed++
	case WakeupNetwork:
		l.used++
	case WakeupGoroutine:
		l.used++
		if w, ok := places[g.Waker]; ok && r.Goroutines[w].Wakeup == WakeupTimer {
			if driven.wakers == nil {
				driven.wakers = map[uint64]struct{}{}
			}
			driven.wakers[g.Waker] = struct{}{}
			driven.members++
		}
	default: // it ran all the time, or left a system call
	}
}

// settle takes members for self-woken that have a waker each which a timer woke: they
// belong to objects with a loop of their own. One such goroutine that feeds many is work.
func (l *look) settle(driven *drive) {
	if 2*len(driven.wakers) >= driven.members {
		l.used -= driven.members
		l.timed += driven.members
	}
}

// join adds the members that were not known.
func (m *members) join(r *Recording, list []int, at time.Duration, p *program) {
	m.count = len(list)
	m.looks[len(m.looks)-1].size = m.count
	for _, i := range list {
		g := &r.Goroutines[i]
		if len(g.Creation) > 0 {
			m.learnCreation(g.Creation, p)
		}
		if _, known := m.ids[g.ID]; known || g.ID%m.every != 0 {
			continue
		}
		m.ids[g.ID] = member{first: at} // running at the beginning does not count
	}
	for len(m.ids) > maxMembers {
		m.every *= 2
		for id := range m.ids {
			if id%m.every != 0 {
				delete(m.ids, id)
			}
		}
	}
}

// learnCreation counts the application's lines in a creation stack.
func (m *members) learnCreation(creation []Site, p *program) {
	const most = 64 // different lines
	if m.creation == nil || &m.creation[0] != &creation[0] {
		m.creation = creation
		m.newest = p.creationLine(creation)
		for i := range creation {
			if s := creation[i]; p.ownerOf(s.Function) == ofApplication && len(m.chain) < most {
				m.chain[s]++
			}
		}
	}
	if m.newest == (Site{}) {
		return
	}
	if _, known := m.lines[m.newest]; known || len(m.lines) < most {
		m.lines[m.newest]++
	}
}

// line returns the line that created most members, zero if none is known.
func (m *members) line() (most Site) {
	n := 0
	for s, k := range m.lines {
		if k > n || k == n && s.compare(most) < 0 {
			most, n = s, k
		}
	}
	return most
}

// cohort counts the members that had reached an age a while ago, by their fate.
type cohort struct {
	stayed int // they are there
	left   int // they ended in that while
	maybe  int // they ended in that while, and may have been as old or younger
}

// survival counts the members that have reached an age and been watched for a while
// since. Of those that stayed only members count that never ran in a recording, unless
// runners count too.
func (m *members) survival(now, age, while time.Duration, runners bool) (c cohort) {
	for _, x := range m.ids {
		if (runners || !x.ran) && now-x.first >= age+while {
			c.stayed++
		}
	}
	for _, e := range m.exits {
		switch {
		case now-e.gone > while:
		case e.last-e.first >= age:
			c.left++
		case e.gone-e.first >= age:
			c.maybe++
		}
	}
	if m.lost > 0 && now-m.lost <= while {
		c.left += keptExits // at least
	}
	return c
}

// aged counts the members that are at least so old, and how many of these never
// ran in a recording.
func (m *members) aged(now, age time.Duration) (all, silent int) {
	for _, x := range m.ids {
		if now-x.first >= age {
			all++
			if !x.ran {
				silent++
			}
		}
	}
	return all, silent
}

// ended counts the members of the last recording but one that have ended, and all that
// were there.
func (m *members) ended() (gone, before int) {
	if len(m.looks) < 2 {
		return 0, 0
	}
	l := &m.looks[len(m.looks)-1]
	return l.gone, l.gone + l.old
}

// activity sums up the newest looks.
func (m *members) activity(most int) (sum look, looks int) {
	for i := len(m.looks) - 1; i >= 0 && looks < most; i-- {
		l := &m.looks[i]
		if l.old == 0 {
			continue
		}
		looks++
		sum.length += l.length
		sum.old += l.old
		sum.ran += l.ran
		sum.used += l.used
		sum.timed += l.timed
	}
	return sum, looks
}

// perLoad returns how many members that stayed joined per unit of load, from the first
// recording to the last but one; 0 if that is unknown.
func (m *members) perLoad() float64 {
	n := len(m.looks)
	if n < 4 {
		return 0
	}
	load := m.looks[n-2].load - m.looks[0].load
	if load <= 0 || m.every > 1 {
		return 0
	}
	joined := 0
	for _, x := range m.ids {
		if x.first > m.looks[0].at && x.first <= m.looks[n-2].at {
			joined++
		}
	}
	return float64(joined) / load
}

// pace compares how many members that stayed joined per unit of load, or of time,
// in the newest intervals between recordings and in all of them. Members that ran in a
// recording are skipped unless runners count too. The newest interval is skipped, because
// members that joined in it may end soon. The result is NaN if there are too few
// intervals.
func (m *members) pace(byLoad, runners bool) float64 {
	n := len(m.looks)
	if n < 4 {
		return math.NaN()
	}
	joined := map[time.Duration]int{}
	for _, x := range m.ids {
		if runners || !x.ran {
			joined[x.first]++
		}
	}
	amount := func(from, to int) float64 { // of load or time between two looks
		if byLoad {
			return m.looks[to].load - m.looks[from].load
		}
		return (m.looks[to].at - m.looks[from].at).Seconds()
	}
	count := func(from, to int) (sum float64) {
		for i := from + 1; i <= to; i++ {
			sum += float64(joined[m.looks[i].at])
		}
		return sum
	}
	last := n - 2
	first := max(0, last-2)
	recent, all := amount(first, last), amount(0, last)
	if recent <= 0 || all <= 0 || count(0, last) == 0 {
		return math.NaN()
	}
	return count(first, last) / recent * all / count(0, last)
}

func appendBounded[T any](list []T, x T, most int) []T {
	if len(list) >= most {
		list = append(list[:0], list[len(list)-most+1:]...)
	}
	return append(list, x)
}
