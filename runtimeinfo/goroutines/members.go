// SPDX-License-Identifier: Apache-2.0

package goroutines

import (
	"maps"
	"slices"
	"time"
)

const (
	// minTracked is the number of members from which a group is tracked.
	minTracked = minHalted
	// maxMembers bounds the ids kept for one group. A larger group is sampled: ids divisible
	// by a power of two are kept.
	maxMembers = 4096
	// keptObservations is the number of recordings kept for a group, and keptExits the number
	// of exits.
	keptObservations, keptExits = 24, 1024
	// maxCreations bounds the goroutines whose creation stacks are kept.
	maxCreations = 4096
	// maxLines bounds the different lines kept for one group.
	maxLines = 64
)

// memberLog tracks the goroutines of the larger groups from recording to recording by id. It
// records which members stayed, which ended, and which ran. Times are since the first survey.
type memberLog struct {
	recordings int
	last       time.Duration // end of the last recording
	young      time.Duration // exits below this age are not kept
	late       time.Duration // of an exit that shows that members end after a long wait
	accepted   int           // connections that the process has accepted and that are open; negative if unknown
	groups     map[Key]*members
	// creations are the creation stacks of goroutines that were created during recordings, by id.
	// A goroutine that waits elsewhere later is then a member of another group.
	creations map[uint64][]Site
}

// members are the goroutines of one group.
type members struct {
	ids          map[uint64]member
	every        uint64           // only ids divisible by it are kept; a power of two
	exits        []exit           // of members that were not young
	lost         time.Duration    // time of the newest exit that was dropped from exits
	latest       [3]time.Duration // greatest ages at which late members may have ended, in ascending order
	observations []observation
	count        int           // members in the last recording, not sampled
	since        time.Duration // first recording of the group

	lines    map[Site]int  // creation lines of members that were created during recordings
	creation []Site        // the newest creation stack
	newest   Site          // the application's line in it
	chain    map[Site]bool // all application lines of the creation stacks of members that began in this group
}

// member is one goroutine.
type member struct {
	first time.Duration // first recording that contains it
	ran   bool          // it ran in a later recording
	woken bool          // the network or another goroutine, but no timer, made it run then
}

// exit is the end of a member: the recording at last contains it, the one at gone does not.
type exit struct{ first, last, gone time.Duration }

// observation counts the members that existed before one recording.
type observation struct {
	at, length time.Duration
	size       int     // all members, not sampled
	old, ran   int     // members that existed before, and how many of them ran
	gone       int     // members of the previous recording that have ended
	woken      int     // woken by the network or by a goroutine that no timer woke
	timed      int     // woken by a timer
	load       float64 // cumulative load, see groupTracker.loadOf
	accepted   int     // see memberLog
}

// indexedRecording is a recording with the key of each goroutine and the index of each id. A
// goroutine without a stack has the zero key.
type indexedRecording struct {
	*Recording
	keys  []Key
	index map[uint64]int
}

func indexRecording(r *Recording) *indexedRecording {
	x := &indexedRecording{r, make([]Key, len(r.Goroutines)), make(map[uint64]int, len(r.Goroutines))}
	shared := map[*Site]Key{} // most goroutines share a stack
	for i := range r.Goroutines {
		g := &r.Goroutines[i]
		x.index[g.ID] = i
		if len(g.Stack) == 0 {
			continue
		}
		k, ok := shared[&g.Stack[0]]
		if !ok {
			k, _ = g.Key()
			k = k.traceKey()
			shared[&g.Stack[0]] = k
		}
		x.keys[i] = k
	}
	return x
}

// byKey returns the indexes of the goroutines of each group.
func (r *indexedRecording) byKey() map[Key][]int {
	all := map[Key][]int{}
	for i, k := range r.keys {
		if k != (Key{}) {
			all[k] = append(all[k], i)
		}
	}
	return all
}

// add adds a recording that began at the given time.
func (l *memberLog) add(r *Recording, at time.Duration, p *program) {
	l.recordings++
	l.last = at + r.Duration
	x := indexRecording(r)
	byKey := x.byKey()
	l.keepCreations(x)
	for key, list := range byKey {
		if l.groups[key] == nil && len(list) >= minTracked {
			l.groups[key] = newMembers(x, list, at)
		}
	}
	for key, m := range l.groups {
		m.observe(x, key, at, l)
		m.join(x, byKey[key], at, p, l.creations)
		if m.count == 0 && len(m.ids) == 0 {
			delete(l.groups, key)
		}
	}
}

// keepCreations keeps the creation stacks of the goroutines that still exist.
func (l *memberLog) keepCreations(r *indexedRecording) {
	maps.DeleteFunc(l.creations, func(id uint64, _ []Site) bool {
		_, exists := r.index[id]
		return !exists
	})
	for i := range r.Goroutines {
		if g := &r.Goroutines[i]; len(g.Creation) > 0 && len(l.creations) < maxCreations {
			l.creations[g.ID] = g.Creation
		}
	}
}

// newMembers returns the members of a group that existed before its first recording.
func newMembers(r *indexedRecording, list []int, at time.Duration) *members {
	m := &members{ids: map[uint64]member{}, every: 1, since: at, lines: map[Site]int{}, chain: map[Site]bool{}}
	for _, i := range list {
		if !r.Goroutines[i].Created {
			m.ids[r.Goroutines[i].ID] = member{first: at}
		}
	}
	return m
}

// observe looks for the known members in a recording.
func (m *members) observe(r *indexedRecording, key Key, at time.Duration, l *memberLog) {
	now := observation{at: at, length: r.Duration, accepted: l.accepted}
	last := m.since
	if n := len(m.observations); n > 0 {
		last = m.observations[n-1].at
	}
	byTimer := timerChain{wakers: map[uint64]struct{}{}}
	for id, x := range m.ids {
		i, ok := r.index[id]
		switch {
		case !ok:
			delete(m.ids, id)
			now.gone++
			m.leave(exit{x.first, last, at}, l.young, l.late)
		case r.keys[i] != key: // it waits somewhere else now
			delete(m.ids, id)
			now.old++
			now.ran++
		default:
			now.old++
			if !r.Goroutines[i].Ran {
				continue
			}
			woken := now.countRun(r, &r.Goroutines[i], &byTimer)
			if at > m.since { // in the first recording, everything may run
				m.ids[id] = member{first: x.first, ran: true, woken: x.woken || woken}
			}
		}
	}
	m.attribute(&now, &byTimer)
	m.observations = appendBounded(m.observations, now, keptObservations)
}

// attribute decides what woke the members of a timerChain. Members with a waker each belong to
// objects that have a loop of their own: the timer woke them. One such goroutine that wakes many
// distributes work.
func (m *members) attribute(now *observation, byTimer *timerChain) {
	if n := len(byTimer.members); 2*len(byTimer.wakers) >= n {
		now.woken -= n
		now.timed += n
		return
	}
	if now.at == m.since {
		return
	}
	for _, id := range byTimer.members {
		m.ids[id] = member{first: m.ids[id].first, ran: true, woken: true}
	}
}

// leave records an exit, unless the member was young.
func (m *members) leave(e exit, young, late time.Duration) {
	if e.last-e.first >= late {
		m.latest[0] = max(m.latest[0], e.gone-e.first)
		slices.Sort(m.latest[:])
	}
	if e.gone-e.first < young {
		return
	}
	if len(m.exits) == keptExits {
		m.lost = max(m.lost, m.exits[0].gone)
	}
	m.exits = appendBounded(m.exits, e, keptExits)
}

// timerChain counts members that were woken by goroutines that a timer had woken.
type timerChain struct {
	members []uint64
	wakers  map[uint64]struct{}
}

// countRun counts a member that ran, by what woke it. It reports whether that was the network or
// a goroutine that no timer had woken.
func (o *observation) countRun(r *indexedRecording, g *RecordedGoroutine, byTimer *timerChain) (woken bool) {
	o.ran++
	switch g.Wakeup { //nolint:exhaustive // otherwise it ran all the time, or left a system call
	case WakeupTimer:
		o.timed++
	case WakeupNetwork:
		o.woken++
		return true
	case WakeupGoroutine:
		o.woken++
		if w, ok := r.index[g.Waker]; ok && r.Goroutines[w].Wakeup == WakeupTimer {
			byTimer.wakers[g.Waker] = struct{}{}
			byTimer.members = append(byTimer.members, g.ID)
			return false
		}
		return true
	}
	return false
}

// longest returns the greatest age at which late members may have ended, 0 if none did. It ignores
// two, which may have ended for another reason.
func (m *members) longest() time.Duration { return m.latest[0] }

// join adds the members that are new in a recording. The creation stacks are those of goroutines
// that were created during earlier recordings or this one.
func (m *members) join(r *indexedRecording, list []int, at time.Duration, p *program, creations map[uint64][]Site) {
	m.count = len(list)
	m.observations[len(m.observations)-1].size = m.count
	for _, i := range list {
		g := &r.Goroutines[i]
		_, known := m.ids[g.ID]
		known = known || g.ID%m.every != 0
		switch {
		case len(g.Creation) > 0:
			m.addCreation(g.Creation, p, true)
		case !known || at == m.since: // it waited elsewhere before
			m.addCreation(creations[g.ID], p, false)
		}
		if !known {
			m.ids[g.ID] = member{first: at}
		}
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

// addCreation counts the line of the creation stack of a member, which may be nil. If the member
// began in this group, it also adds the application's lines to the chain.
func (m *members) addCreation(creation []Site, p *program, began bool) {
	if len(creation) == 0 {
		return
	}
	if m.creation == nil || &m.creation[0] != &creation[0] { // most members share a stack
		m.creation, m.newest = creation, p.creationLine(creation)
		for _, s := range creation {
			if began && len(m.chain) < maxLines && p.ownerOf(s.Function) == ofApplication {
				m.chain[s] = true
			}
		}
	}
	if _, known := m.lines[m.newest]; m.newest != (Site{}) && (known || len(m.lines) < maxLines) {
		m.lines[m.newest]++
	}
}

// line returns the line that created most members, or the zero Site.
func (m *members) line() (most Site) {
	n := 0
	for s, k := range m.lines {
		if k > n || k == n && s.compare(most) < 0 {
			most, n = s, k
		}
	}
	return most
}

// appendBounded appends x and drops the oldest elements beyond most.
func appendBounded[T any](list []T, x T, most int) []T {
	if len(list) >= most {
		list = append(list[:0], list[len(list)-most+1:]...)
	}
	return append(list, x)
}
