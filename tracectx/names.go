// SPDX-License-Identifier: Apache-2.0

package tracectx

import (
	"cmp"
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

// A rootName is the state of one name of root spans.
type rootName struct {
	text      string
	labels    *labels
	index     uint16 // in names.list
	durations durations

	// renamed: a span that began under this name ended under another.
	renamed atomic.Bool
	// settled: at least settledAfter spans ended under this name and none that began
	// under it was renamed.
	settled atomic.Bool
	// retired: the name is about to be removed and no further span may use its
	// index, see names.replace.
	retired atomic.Bool

	// Only Observe uses the following.
	active         bool  // at the last observation, a span had this name or began under it
	protectedUntil int64 // the name is new and must not be retired before this time
}

// names assigns a small index to each name, so that an observation can count in a
// slice. Looking a name up takes no lock. If there are more names than the limit, the
// most frequent ones have an index, see replace.
type names struct {
	byText     atomic.Pointer[nameTable]  // replaced when names are removed
	list       []atomic.Pointer[rootName] // by index; nil: free
	other      *rootName                  // list[0], for names without an index
	full       atomic.Bool                // every index was assigned once
	candidates candidates

	mu      sync.Mutex  // for changes of byText and list, and for the following
	used    int         // indexes that were assigned
	sorted  []*rootName // by text; nil: to be made
	archive []*labels   // of removed names, the last one first
}

func newNames(limit int) *names {
	n := &names{list: make([]atomic.Pointer[rootName], limit+1)}
	n.candidates.seed = maphash.MakeSeed()
	n.byText.Store(newNameTable(n.candidates.seed, len(n.list)))
	n.other = n.add(otherName)
	return n
}

// intern returns the entry of a name, or the entry "other".
func (n *names) intern(text string) *rootName {
	if len(text) > maxNameBytes {
		return n.other
	}
	if known := n.byText.Load().find(text); known != nil {
		return known
	}
	switch {
	case !utf8.ValidString(text): // exporters need valid UTF-8
		return n.other
	case n.full.Load():
		n.candidates.count(text)
		return n.other
	default:
		return n.add(text)
	}
}

func (n *names) add(text string) *rootName {
	n.mu.Lock()
	defer n.mu.Unlock()
	if known := n.byText.Load().find(text); known != nil {
		return known
	}
	if n.used == len(n.list) {
		return n.other
	}
	added := n.place(strings.Clone(text), n.used) // text may be part of a large request
	n.used++
	n.full.Store(n.used == len(n.list))
	n.byText.Load().add(added)
	n.sorted = nil
	return added
}

// place assigns a free index to a name. If the name had one before, it gets its labels
// back. The caller makes it visible.
func (n *names) place(text string, index int) *rootName {
	x := &rootName{text: text, index: uint16(index)}
	if i := slices.IndexFunc(n.archive, func(l *labels) bool { return l.text == text }); i >= 0 {
		x.labels = n.archive[i]
		n.archive = slices.Delete(n.archive, i, i+1)
	} else {
		x.labels = &labels{text: text, value: LabelValue(text)}
	}
	n.list[index].Store(x)
	return x
}

// update makes changes of the list visible to intern and all. It visits every name.
func (n *names) update() {
	byText := newNameTable(n.candidates.seed, len(n.list))
	for i := range n.list[:n.used] {
		if x := n.list[i].Load(); x != nil && !x.retired.Load() {
			byText.add(x)
		}
	}
	n.byText.Store(byText)
	n.sorted = nil
}

// at returns the entry with an index that a span in the table has.
func (n *names) at(index uint16) *rootName { return n.list[index].Load() }

// all returns the entries, also the retired ones, in the order of their texts. The
// caller must not change the slice.
func (n *names) all() []*rootName {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.sorted == nil {
		for i := range n.list[:n.used] {
			if x := n.list[i].Load(); x != nil {
				n.sorted = append(n.sorted, x)
			}
		}
		slices.SortFunc(n.sorted, func(x, y *rootName) int { return cmp.Compare(x.text, y.text) })
	}
	return n.sorted
}

// count adds a streak to the counts of its names. The caller holds the lock of the
// streak's shard, so the names keep their indexes.
func (n *names) count(k *streak) {
	if k.n == 0 {
		return
	}
	ended, began := n.at(k.name), n.at(k.began)
	ended.durations.counts[k.bucket].Add(uint64(k.n))
	ended.durations.time.Add(k.time)
	if k.failed {
		ended.durations.errors.Add(uint64(k.n))
	}
	if k.renaming {
		began.labels.count(k.epoch, ended.text, uint64(k.n))
	}
}

// withLabel returns the labels of all names with a label value, also of removed names.
func (n *names) withLabel(value string) (found []*labels) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for i := range n.list[:n.used] {
		if x := n.list[i].Load(); x != nil && x.labels.value == value {
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
