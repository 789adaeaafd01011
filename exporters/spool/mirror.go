// SPDX-License-Identifier: Apache-2.0

package spool

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// How the backlog looks to the keeper of its mirror on disk.

// maxCached is how many bytes of records that are on disk stay in memory too, so
// that a backend which lags a little is fed without reading.
const maxCached = 256 << 10

// due is what the disk is to take, in one transaction.
type due struct {
	entries []*entry
	bodies  [][]byte
	schemas map[runtimeinfo.SchemaID][]byte
	garbage []uint64
}

// due returns what is to be written now, or nil and when to ask again. idle is how
// long ago the last transaction was.
func (b *backlog) due(idle time.Duration) (*due, time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.unsaved) > 0 {
		// One record and a backend that is well: it will be gone in a moment.
		healthy := b.stats.State != runtimeinfo.ExporterFailing && b.stats.Snapshots.Pending == 1
		if wait := grace - time.Since(b.unsaved[0].at); healthy && wait > 0 {
			return nil, wait
		}
		return b.collect(), 0
	}
	switch {
	case len(b.garbage) == 0:
		return nil, time.Hour // a signal comes first
	case len(b.garbage) >= tidyMost || idle >= tidyAfter:
		return b.collect(), 0
	default:
		return nil, tidyAfter - idle
	}
}

// all returns whatever is not on disk yet, or nil.
func (b *backlog) all() *due {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.unsaved)+len(b.garbage) == 0 {
		return nil
	}
	return b.collect()
}

// collect takes the garbage, and copies what is unsaved. mu is held.
func (b *backlog) collect() *due {
	d := &due{entries: slices.Clone(b.unsaved), schemas: maps.Clone(b.schemas), garbage: b.garbage}
	b.garbage = nil
	for _, e := range d.entries {
		d.bodies = append(d.bodies, e.body)
	}
	return d
}

// saved notes that all of d is on disk, its records from the key first on.
func (b *backlog) saved(d *due, first uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, e := range d.entries {
		key := first + uint64(i)
		if e.done { // meanwhile
			b.garbage = append(b.garbage, key)
			continue
		}
		e.key = key
		b.unsavedBytes -= e.size
		b.release(e)
		if b.cached+e.size > maxCached {
			e.body = nil
		} else {
			b.cached += e.size
		}
	}
	b.unsaved = slices.DeleteFunc(b.unsaved, func(e *entry) bool { return e.key != 0 })
}

// notSaved takes d back, nil for nothing.
func (b *backlog) notSaved(d *due) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if d != nil {
		b.garbage = append(d.garbage, b.garbage...)
	}
	b.makeRoom()
}

// lose notes that the store is gone: what is in memory too will be saved again,
// the rest is lost.
func (b *backlog) lose() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.garbage = nil
	var kept []*entry
	for _, list := range []*[]*entry{&b.ticks, &b.eventful} {
		*list = slices.DeleteFunc(*list, func(e *entry) bool {
			if e.key == 0 {
				return false
			}
			body := e.body
			b.forgetBody(e)
			e.key, e.body = 0, body
			if body == nil {
				b.drop(e, runtimeinfo.DropUnreadable)
				return true
			}
			kept = append(kept, e)
			b.unsavedBytes += e.size
			return false
		})
	}
	for _, e := range b.flying {
		if e.key != 0 && e.body != nil {
			kept = append(kept, e)
			b.cached -= e.size
			b.unsavedBytes += e.size
		}
		e.key = 0
	}
	b.unsaved = append(kept, b.unsaved...)
	slices.SortStableFunc(b.unsaved, func(x, y *entry) int { return cmp.Compare(x.order, y.order) })
	b.makeRoom()
}

// setDisk notes whether new records are safe on disk, and tells whether that is a
// change worth a word: the first success is not.
func (b *backlog) setDisk(ok bool, trouble string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	changed := (trouble == "") != (b.diskError == "")
	b.onDisk, b.diskError = ok, trouble
	return changed
}

func (b *backlog) keys(entries []*entry) []uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	keys := make([]uint64, len(entries))
	for i, e := range entries {
		keys[i] = e.key
	}
	return keys
}

// fill gives an entry its body back.
func (b *backlog) fill(e *entry, body []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e.done || e.body != nil || e.key == 0 {
		return
	}
	e.body = body
	b.cached += e.size
}

// empty tells that nothing waits, in memory or on disk.
func (b *backlog) empty() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.stats.Snapshots.Pending == 0 && len(b.garbage) == 0
}
