// SPDX-License-Identifier: Apache-2.0

package spool

import (
	"maps"
	"slices"
	"time"

	"github.com/gmpulse/gmpulse/exporters"
)

// The methods of backlog that the diskWriter calls.

// maxCached is how many bytes of records on disk stay in memory too. They are sent without
// a read, and saved again if the store turns out to be damaged.
const maxCached = 256 << 10

// batch is what one transaction writes and deletes.
type batch struct {
	entries []*entry
	change  // put has the bodies of entries
}

// due returns what is to be written now, or nil and how long to wait. idle is the time
// since the last transaction.
func (b *backlog) due(idle time.Duration) (*batch, time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if first, _ := b.unsaved(); first < len(b.entries) {
		// A single entry and a healthy backend: it is probably delivered in a moment.
		healthy := b.stats.State != exporters.StateFailing && len(b.entries) == 1
		if wait := grace - time.Since(b.entries[first].accepted); healthy && wait > 0 {
			return nil, wait
		}
		return b.collect(first), 0
	}
	switch {
	case len(b.deletable) == 0:
		return nil, time.Hour // a signal comes first
	case len(b.deletable) >= deleteBatch || idle >= deleteInterval:
		return b.collect(len(b.entries)), 0
	default:
		return nil, deleteInterval - idle
	}
}

// all returns everything that is not on disk, or nil.
func (b *backlog) all() *batch {
	b.mu.Lock()
	defer b.mu.Unlock()
	first, _ := b.unsaved()
	if first == len(b.entries) && len(b.deletable) == 0 {
		return nil
	}
	return b.collect(first)
}

// collect returns the entries from index first on and the deletable keys. b.mu is held.
func (b *backlog) collect(first int) *batch {
	d := &batch{change: change{schemas: maps.Clone(b.schemas), remove: b.deletable}}
	b.deletable = nil
	for _, e := range b.entries[first:] {
		d.entries, d.put = append(d.entries, e), append(d.put, e.body)
	}
	return d
}

// markSaved records that d is on disk. Its entries have consecutive keys from first on.
func (b *backlog) markSaved(d *batch, first uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, e := range d.entries {
		key := first + uint64(i)
		if e.done { // while the transaction ran
			b.deletable = append(b.deletable, key)
			continue
		}
		e.key = key
		e.notifySaved()
		if b.cached+e.size > maxCached {
			e.body = nil
		} else {
			b.cached += e.size
		}
	}
}

// markFailed records that d was not written.
func (b *backlog) markFailed(d *batch) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.deletable = slices.Concat(d.remove, b.deletable)
	b.makeRoom()
}

// storeLost drops the entries of a store that is no longer usable, except those that are
// in memory too.
func (b *backlog) storeLost() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range slices.Clone(b.entries) {
		if e.key != 0 && e.body == nil {
			b.drop(e, exporters.DropUnreadable)
		}
		e.key = 0
	}
	b.cached, b.deletable = 0, nil
	b.makeRoom()
}

// setDisk sets whether new entries are written to disk. It reports whether the error
// state has changed, so that the change is logged once.
func (b *backlog) setDisk(ok bool, problem string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	changed := (problem == "") != (b.diskError == "")
	b.onDisk, b.diskError = ok, problem
	return changed
}

// empty reports whether no entry is pending, in memory or on disk.
func (b *backlog) empty() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.entries) == 0 && len(b.deletable) == 0
}
