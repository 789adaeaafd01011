// SPDX-License-Identifier: Apache-2.0

package tracectx

import (
	"cmp"
	"hash/maphash"
	"slices"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// admitAt is the count at which a name becomes a candidate for an index. A root
	// counts twice, at its start and at its end.
	admitAt = 6
	// maxWaiting bounds the candidates of one observation.
	maxWaiting = 16
	// fadeAfter is the time after which the counts of candidates are halved.
	fadeAfter = 30 * time.Second
	// minArchive is the minimum number of removed names whose labels are kept.
	minArchive = 100
)

// candidates estimates how often names occur that have no index. Each counter belongs
// to a hash of names. A name that finds the counter in use by another decrements it,
// so a rare name does not block a frequent one. Counting a name takes no lock unless
// the name becomes a candidate.
type candidates struct {
	seed     maphash.Seed
	counters [2048]atomic.Uint64 // upper half of a hash, and its count

	mu      sync.Mutex
	waiting []string

	faded int64 // time of the last halving; only Observe uses it
}

const countBits = 1<<32 - 1

// counter returns the counter of a name, its value and whether the name owns it.
func (c *candidates) counter(text string) (counter *atomic.Uint64, hash, value uint64, own bool) {
	hash = maphash.String(c.seed, text)
	counter = &c.counters[hash%uint64(len(c.counters))]
	value = counter.Load()
	return counter, hash, value, (value^hash)>>32 == 0
}

// count counts a name. Concurrent calls may count as one.
func (c *candidates) count(text string) {
	counter, hash, value, own := c.counter(text)
	n := value & countBits
	switch {
	case !own && n <= 1:
		counter.Store(hash&^countBits | 1)
	case !own:
		counter.Store(value - 1)
	case n < countBits:
		counter.Store(value + 1)
		if (n+1)%admitAt == 0 {
			c.enqueue(text)
		}
	}
}

// enqueue makes a name a candidate. It does nothing while another goroutine holds the
// lock: a frequent name gets here again.
func (c *candidates) enqueue(text string) {
	if !c.mu.TryLock() {
		return
	}
	defer c.mu.Unlock()
	if len(c.waiting) < maxWaiting && !slices.Contains(c.waiting, text) {
		c.waiting = append(c.waiting, strings.Clone(text)) // text may be part of a large request
	}
}

// halve halves the counts if fadeAfter has passed.
func (c *candidates) halve(elapsed int64) {
	if elapsed-c.faded < int64(fadeAfter) {
		return
	}
	c.faded = elapsed
	for i := range c.counters {
		v := c.counters[i].Load()
		c.counters[i].Store(v&^countBits | v&countBits/2)
	}
}

type candidate struct {
	text  string
	count uint64
}

// take removes the waiting names and returns those that are still frequent, the most
// frequent first.
func (c *candidates) take() (frequent []candidate) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, text := range c.waiting {
		if _, _, value, own := c.counter(text); own && value&countBits >= admitAt {
			frequent = append(frequent, candidate{text, value & countBits})
		}
	}
	c.waiting = c.waiting[:0]
	sort.SliceStable(frequent, func(i, j int) bool { return frequent[i].count > frequent[j].count })
	return frequent
}

// replace gives the indexes of infrequent names to candidates. Observe calls it after
// reading the table.
//
// An index must never stand for two names at once, so a name is removed in two steps.
// First replace marks it as retired, and intern no longer returns it. A goroutine that
// got the name earlier checks the mark with the lock of a shard held. The next
// observation locks every shard: if it finds no span of the name, no goroutine uses the
// index or will use it, and replace frees it.
func (n *names) replace(elapsed int64) {
	if !n.full.Load() {
		return
	}
	n.candidates.halve(elapsed)
	waiting := n.candidates.take()
	n.mu.Lock()
	defer n.mu.Unlock()
	released := n.release()
	left := n.admit(waiting, elapsed)
	if retired := n.retire(left, elapsed); released || retired || len(left) < len(waiting) {
		n.update()
	}
	for _, x := range left {
		n.candidates.enqueue(x.text)
	}
}

// release frees the indexes of retired names that no span has any more, and reports
// whether it freed any.
func (n *names) release() (released bool) {
	for i := range n.list {
		if x := n.list[i].Load(); x != nil && x.retired.Load() && !x.active {
			n.list[i].Store(nil)
			n.archive = slices.Insert(n.archive, 0, x.labels)
			released = true
		}
	}
	n.archive = n.archive[:min(len(n.archive), max(len(n.list)-1, minArchive))]
	return released
}

// admit assigns free indexes and returns the candidates for which there was none. A
// candidate that is retired and still has its index keeps it.
func (n *names) admit(waiting []candidate, elapsed int64) (left []candidate) {
	for _, c := range waiting {
		i := n.find(func(x *rootName) bool { return x != nil && x.text == c.text })
		if i < 0 {
			if i = n.find(func(x *rootName) bool { return x == nil }); i < 0 {
				left = append(left, c)
				continue
			}
			n.place(c.text, i)
		}
		x := n.list[i].Load()
		x.retired.Store(false)
		x.protectedUntil = elapsed + int64(fadeAfter)
	}
	return left
}

// find returns the first index whose entry matches, or -1.
func (n *names) find(match func(*rootName) bool) int {
	for i := range n.list {
		if match(n.list[i].Load()) {
			return i
		}
	}
	return -1
}

// retire marks the least frequent names, one for each candidate that is more frequent.
// It reports whether it marked any.
func (n *names) retire(waiting []candidate, elapsed int64) (retired bool) {
	var idle []*rootName
	for i := range n.list {
		x := n.list[i].Load()
		if x != nil && x != n.other && !x.active && !x.retired.Load() && elapsed >= x.protectedUntil {
			idle = append(idle, x)
		}
	}
	slices.SortFunc(idle, func(x, y *rootName) int { return cmp.Compare(x.durations.recent.total, y.durations.recent.total) })
	for i := range min(len(waiting), len(idle)) {
		const twice = 2 // candidates are counted twice per root
		if float64(waiting[i].count) <= twice*idle[i].durations.recent.total {
			break
		}
		idle[i].retired.Store(true)
		retired = true
	}
	return retired
}
