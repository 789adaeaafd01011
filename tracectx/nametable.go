// SPDX-License-Identifier: Apache-2.0

package tracectx

import (
	"hash/maphash"
	"math/bits"
	"sync/atomic"
)

// A nameTable finds names by their text. It is a hash table of fixed size with open addressing: find
// takes no lock and may run at the same time as add, and add does not visit the names that are there
// already. Names cannot be removed.
type nameTable struct {
	seed  maphash.Seed
	slots []atomic.Pointer[rootName] // nil: free; their number is a power of two
}

// newNameTable returns a table with room for limit names. At least half of its slots stay free.
func newNameTable(seed maphash.Seed, limit int) *nameTable {
	return &nameTable{seed, make([]atomic.Pointer[rootName], 1<<bits.Len(uint(2*limit)))}
}

// find returns the name with the given text, or nil.
func (t *nameTable) find(text string) *rootName { return t.slot(text).Load() }

// add adds a name whose text is not in the table. Only one goroutine may call add at a time.
func (t *nameTable) add(x *rootName) { t.slot(x.text).Store(x) }

// slot returns the slot of the name with the given text, or the free slot where add would put it.
func (t *nameTable) slot(text string) *atomic.Pointer[rootName] {
	mask := uint64(len(t.slots) - 1)
	for i := maphash.String(t.seed, text); ; i++ {
		s := &t.slots[i&mask]
		if x := s.Load(); x == nil || x.text == text {
			return s
		}
	}
}
