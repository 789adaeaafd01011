package tracectx

import (
	"hash/maphash"
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
	text      string
	index     uint16 // in names.list
	labels    labels
	durations durations
}

// names gives every root-span name a small number, so that an observation
// counts in an array and not in a map. A fixed open-addressing table: finding a
// known name takes no lock, and neither does not finding one once the table is full.
type names struct {
	seed  maphash.Seed
	table []atomic.Pointer[rootName] // a power of two, at most half of it used
	other *rootName
	limit int // names beside other
	full  atomic.Bool

	mu    sync.Mutex                  // writers of table and list
	list  []*rootName                 // by index; list[0] is other
	index atomic.Pointer[[]*rootName] // list, for readers without the lock
}

func newNames(limit int) *names {
	size := 4
	for size < 2*(limit+1) {
		size *= 2
	}
	n := &names{
		seed:  maphash.MakeSeed(),
		table: make([]atomic.Pointer[rootName], size),
		limit: limit,
	}
	n.other = n.add(otherName) // in the table, lest a span of that very name make a twin
	return n
}

// intern returns the entry of a name, or other.
func (n *names) intern(text string) *rootName {
	if len(text) > maxNameBytes {
		return n.other
	}
	if known := n.find(text).Load(); known != nil {
		return known
	}
	// Exporters need valid UTF-8, and repairing a name could make two equal.
	if n.full.Load() || !utf8.ValidString(text) {
		return n.other
	}
	return n.add(text)
}

// find returns the place of a name: where it is or where it would be.
func (n *names) find(text string) *atomic.Pointer[rootName] {
	mask := uint64(len(n.table) - 1)
	for i := maphash.String(n.seed, text) & mask; ; i = (i + 1) & mask {
		if known := n.table[i].Load(); known == nil || known.text == text {
			return &n.table[i]
		}
	}
}

func (n *names) add(text string) *rootName {
	n.mu.Lock()
	defer n.mu.Unlock()
	place := n.find(text)
	if known := place.Load(); known != nil {
		return known
	}
	if len(n.list) > n.limit {
		return n.other
	}
	// Cloned: the caller's string may be a piece of a large request.
	text = strings.Clone(text)
	added := &rootName{text: text, index: uint16(len(n.list)), labels: labels{value: labelValue(text)}}
	added.durations.used = make([]uint8, 0, durationBuckets) // lest Observe has to
	n.list = append(n.list, added)
	list := n.list
	n.index.Store(&list)
	n.full.Store(len(n.list) > n.limit)
	place.Store(added)
	return added
}

// count counts the ended spans of a streak, if there are any.
func (n *names) count(k streak) {
	if k.n > 0 {
		n.at(k.name).durations.add(k.bucket, k.n)
	}
}

// at returns the entry with an index that intern gave, without a lock.
func (n *names) at(index uint16) *rootName { return (*n.index.Load())[index] }

// all returns every name by its index. The entries never change.
func (n *names) all() []*rootName {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.list
}
