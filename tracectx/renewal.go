// SPDX-License-Identifier: Apache-2.0

package tracectx

import (
	"hash/maphash"
	"slices"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// admitAt is how often a name that has no place must have been seen of late to
	// get one: a root counts twice, at its start and at its end.
	admitAt = 6
	// maxWaiting bounds the names that wait for a place, and so the changes of one
	// observation.
	maxWaiting = 16
	// fadeAfter is how long what was seen of such names counts fully.
	fadeAfter = 30 * time.Second
)

// newcomers estimates how often names come that have no place: a counter for each
// hash. Two names that share one wear each other's count down, so that what comes once
// does not keep out what comes often. It has a fixed size and takes no lock but for a
// name that has been counted admitAt times.
type newcomers struct {
	counts [2048]atomic.Uint64 // half a hash, and how often it came

	mu      sync.Mutex
	waiting []string // counted often enough

	faded int64 // on the observer's clock; belongs to Observe
}

const countBits = 1<<32 - 1

// note counts a name. Two that do so at the same moment may count as one.
func (c *newcomers) note(hash uint64, text string) {
	place := &c.counts[hash%uint64(len(c.counts))]
	v := place.Load()
	n := v & countBits
	switch {
	case n <= 1 && (v^hash)>>32 != 0:
		place.Store(hash&^countBits | 1)
	case (v^hash)>>32 != 0:
		place.Store(v - 1)
	case n < countBits:
		place.Store(v + 1)
		if n++; n%admitAt == 0 {
			c.offer(text)
		}
	}
}

// offer has a name wait for the next observation.
func (c *newcomers) offer(text string) {
	if !c.mu.TryLock() {
		return // it will be back
	}
	defer c.mu.Unlock()
	if len(c.waiting) < maxWaiting && !slices.Contains(c.waiting, text) {
		c.waiting = append(c.waiting, strings.Clone(text)) // it may be a piece of a large request
	}
}

// seen returns how often a name came of late.
func (c *newcomers) seen(hash uint64) uint64 {
	v := c.counts[hash%uint64(len(c.counts))].Load()
	if (v^hash)>>32 != 0 {
		return 0
	}
	return v & countBits
}

// fade halves the counts when it is time.
func (c *newcomers) fade(elapsed int64) {
	if elapsed-c.faded < int64(fadeAfter) {
		return
	}
	c.faded = elapsed
	for i := range c.counts {
		if v := c.counts[i].Load(); v&countBits != 0 {
			c.counts[i].Store(v&^countBits | v&countBits/2)
		}
	}
}

// A newcomer is a name that waits for a place.
type newcomer struct {
	text string
	hash uint64
	seen uint64
}

// line returns the names that wait, the busiest first.
func (n *names) line() (line []newcomer) {
	c := &n.newcomers
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, text := range c.waiting {
		hash := maphash.String(n.seed, text)
		if seen := c.seen(hash); seen >= admitAt {
			line = append(line, newcomer{text, hash, seen})
		}
	}
	c.waiting = c.waiting[:0]
	for i := range line {
		c.waiting = append(c.waiting, line[i].text)
	}
	sort.Slice(line, func(i, j int) bool { return line[i].seen > line[j].seen })
	return line
}

// keep has those wait on that got no place, and nobody else.
func (c *newcomers) keep(left []newcomer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting = c.waiting[:0]
	for i := range left {
		c.waiting = append(c.waiting, left[i].text)
	}
}

// renew gives names that wait the places of those that are used less. Observe calls
// it when it has been through the table.
//
// A name loses its place in two steps, so that an index never stands for two names
// at once. First it is marked as retired and cannot be found any more. A span that
// found it before looks at the mark when it has the lock of its shard, and every span
// that has its index already is seen by the next observation, which takes each of
// these locks: so if that one sees no such span, nobody has the index or gets it, and
// the next name may.
func (n *names) renew(elapsed int64) {
	n.newcomers.fade(elapsed)
	line := n.line()
	if len(line) == 0 && !n.hasRetired() {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.list = slices.Clone(n.list)
	free, released := n.release()
	left := n.admit(line, free, elapsed)
	if n.retire(left, elapsed) == 0 && released == 0 && len(left) == len(line) {
		return
	}
	n.newcomers.keep(left)
	n.renewal++
	table := n.newLookup()
	for _, x := range n.list {
		if x != nil && !x.retired.Load() {
			table.find(maphash.String(n.seed, x.text), x.text).Store(x)
		}
	}
	n.lookup.Store(table)
}

// hasRetired reports whether a name is on its way out.
func (n *names) hasRetired() bool {
	list, _ := n.all()
	return slices.ContainsFunc(list, func(x *rootName) bool { return x != nil && x.retired.Load() })
}

// release frees the places of retired names that no span has any more, and returns
// all free ones.
func (n *names) release() (free []uint16, released int) {
	for i, x := range n.list {
		if x != nil && x.retired.Load() && !x.active {
			n.list[i] = nil
			n.archive = slices.Insert(n.archive, 0, x.labels)
			released++
		}
		if n.list[i] == nil {
			free = append(free, uint16(i))
		}
	}
	n.archive = n.archive[:min(len(n.archive), max(n.limit, minArchive))]
	return free, released
}

// minArchive is how many names' labels are kept at the least after they lost their
// place.
const minArchive = 100

// admit gives free places away and returns the names that got none.
func (n *names) admit(line []newcomer, free []uint16, elapsed int64) (left []newcomer) {
	for _, x := range line {
		// One that is on its way out has its place still.
		if i := slices.IndexFunc(n.list, func(y *rootName) bool { return y != nil && y.text == x.text }); i >= 0 {
			n.list[i].retired.Store(false)
			n.list[i].protected = elapsed + int64(fadeAfter)
			continue
		}
		if len(free) == 0 {
			left = append(left, x)
			continue
		}
		n.list[free[0]] = n.newName(x.text, free[0])
		n.list[free[0]].protected = elapsed + int64(fadeAfter)
		n.entries[free[0]].Store(n.list[free[0]])
		free = free[1:]
	}
	return left
}

// retire marks the names that are used least, one for each of those that wait and are
// used more, and returns how many it marked.
func (n *names) retire(line []newcomer, elapsed int64) (retired int) {
	var idle []*rootName
	for _, x := range n.list {
		if x != nil && x != n.other && !x.active && !x.retired.Load() && elapsed >= x.protected {
			idle = append(idle, x)
		}
	}
	sort.Slice(idle, func(i, j int) bool { return idle[i].durations.recent.total < idle[j].durations.recent.total })
	for i := range min(len(line), len(idle)) {
		const twice = 2 // a root of a name that waits is seen twice
		if float64(line[i].seen) <= twice*idle[i].durations.recent.total {
			break
		}
		idle[i].retired.Store(true)
		retired++
	}
	return retired
}
