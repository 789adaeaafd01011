// SPDX-License-Identifier: Apache-2.0

package tracectx

import (
	"hash/maphash"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"unicode/utf8"
)

const (
	otherName    = "other"
	maxNameBytes = 256
)

// A rootName is what the processor keeps per distinct name of root spans.
type rootName struct {
	text   string
	labels *labels
	index  uint16 // in names.list
	// renames is set once a span that began under this name ended under another.
	renames atomic.Bool
	// settled is set while many spans that began under this name have ended, all of
	// those asked under it.
	settled atomic.Bool
	// retired is set once the name has lost its place: no span gets its index from
	// then on. See names.renew.
	retired atomic.Bool
	// active belongs to Observe: a span that has this name, or had it when it began,
	// was active at the last observation.
	active bool
	// protected belongs to Observe too: until then the name keeps its place, for what
	// it is used cannot be known yet. On the observer's clock.
	protected int64
	durations durations
}

// names gives every root-span name a small number, so that an observation
// counts in an array and not in a map. Finding a known name takes no lock, and
// neither does not finding one once there are as many as may be.
//
// From then on a name that is busy gets the place of one that is not, at an
// observation (see renew): names with ids in them, a scanner's for instance, come once
// and go again.
type names struct {
	seed      maphash.Seed
	lookup    atomic.Pointer[lookup]
	entries   []atomic.Pointer[rootName] // by index: list, for readers without the lock
	other     *rootName
	limit     int // names beside other
	full      atomic.Bool
	newcomers newcomers

	mu      sync.Mutex  // writers of what follows, of lookup and of entries
	list    []*rootName // by index, nil where it is free; list[0] is other
	archive []*labels   // of names that lost their place, the last one longest ago
	renewal uint64      // counts changes of list
}

// lookup is an open-addressing table: a power of two, at most half of it used.
type lookup []atomic.Pointer[rootName]

func newNames(limit int) *names {
	n := &names{seed: maphash.MakeSeed(), limit: limit, entries: make([]atomic.Pointer[rootName], limit+1)}
	n.lookup.Store(n.newLookup())
	n.other = n.add(otherName) // in the table, lest a span of that very name make a twin
	return n
}

func (n *names) newLookup() *lookup {
	size := 4
	for size < 2*(n.limit+1) {
		size *= 2
	}
	t := make(lookup, size)
	return &t
}

// intern returns the entry of a name, or other.
func (n *names) intern(text string) *rootName {
	if len(text) > maxNameBytes {
		return n.other
	}
	hash := maphash.String(n.seed, text)
	if known := n.lookup.Load().find(hash, text).Load(); known != nil {
		return known
	}
	// Exporters need valid UTF-8, and repairing a name could make two equal.
	if !utf8.ValidString(text) {
		return n.other
	}
	if n.full.Load() {
		n.newcomers.note(hash, text)
		return n.other
	}
	return n.add(text)
}

// find returns the place of a name: where it is or where it would be.
func (l *lookup) find(hash uint64, text string) *atomic.Pointer[rootName] {
	t := *l
	mask := uint64(len(t) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		if known := t[i].Load(); known == nil || known.text == text {
			return &t[i]
		}
	}
}

func (n *names) add(text string) *rootName {
	n.mu.Lock()
	defer n.mu.Unlock()
	place := n.lookup.Load().find(maphash.String(n.seed, text), text)
	if known := place.Load(); known != nil {
		return known
	}
	if n.full.Load() {
		return n.other
	}
	// Cloned: the caller's string may be a piece of a large request.
	added := n.newName(strings.Clone(text), uint16(len(n.list)))
	n.list = append(n.list, added)
	n.entries[added.index].Store(added)
	n.renewal++
	n.full.Store(len(n.list) > n.limit)
	place.Store(added)
	return added
}

// newName returns an entry that is nowhere yet. What is still known of its labels
// from an earlier time stays so.
func (n *names) newName(text string, index uint16) *rootName {
	added := &rootName{text: text, index: index}
	added.durations.used = make([]uint8, 0, durationBuckets) // lest Observe has to
	if i := slices.IndexFunc(n.archive, func(l *labels) bool { return l.text == text }); i >= 0 {
		added.labels = n.archive[i]
		n.archive = slices.Delete(n.archive, i, i+1)
		return added
	}
	added.labels = &labels{text: text, value: labelValue(text)}
	return added
}

// at returns the entry with an index that intern gave, without a lock.
func (n *names) at(index uint16) *rootName { return n.entries[index].Load() }

// all returns every name by its index, nil where that is free, and how often the list
// has changed. Nobody changes what it returned.
func (n *names) all() (list []*rootName, renewal uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.list, n.renewal
}

// count counts the ended spans of a streak, if there are any. The shard that they are
// from is locked: so an index stays that of its name.
func (n *names) count(k *streak) {
	if k.n == 0 {
		return
	}
	ended, began := n.at(k.name()), n.at(k.began())
	ended.durations.add(k.bucket(), k.n)
	if k.likeness&renaming != 0 {
		began.labels.count(k.epoch, ended.labels, uint64(k.n))
	}
}

// withLabel returns the labels of every name with a label value, also of those that
// lost their place.
func (n *names) withLabel(value string) (found []*labels) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, x := range n.list {
		if x != nil && x.labels.value == value {
			found = append(found, x.labels)
		}
	}
	for _, l := range n.archive {
		if l.value == value {
			found = append(found, l)
		}
	}
	return found
}
