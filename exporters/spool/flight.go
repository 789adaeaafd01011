// SPDX-License-Identifier: Apache-2.0

package spool

import (
	"cmp"
	"slices"
	"time"

	"github.com/gmpulse/gmpulse/internal/guard"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// How the backlog looks to the sender: entries are taken in order, are under way,
// and then settled or back in their place.

// take returns the oldest entry, now under way, or nil. Those that have waited
// too long are dropped.
func (b *backlog) take() *entry {
	b.mu.Lock()
	defer b.mu.Unlock()
	for {
		e := b.head()
		if e == nil {
			return nil
		}
		list := b.listOf(e)
		*list = pop(*list)
		if time.Since(e.at) <= b.maxAge {
			b.flying = append(b.flying, e)
			return e
		}
		b.drop(e, runtimeinfo.DropExpired)
	}
}

// head is the oldest entry. mu is held.
func (b *backlog) head() *entry { return b.nth(0) }

// nth is the entry that comes so many after the oldest, or nil. mu is held.
func (b *backlog) nth(n int) (e *entry) {
	ticks, eventful := b.ticks, b.eventful
	for range n + 1 {
		switch {
		case len(ticks) == 0 && len(eventful) == 0:
			return nil
		case len(eventful) == 0 || len(ticks) > 0 && ticks[0].order < eventful[0].order:
			e, ticks = ticks[0], ticks[1:]
		default:
			e, eventful = eventful[0], eventful[1:]
		}
	}
	return e
}

// takeAfter returns the one that comes n after e, which is the oldest, or nil.
func (b *backlog) takeAfter(e *entry, n int) *entry {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.head() != e {
		return nil // it gave way meanwhile
	}
	other := b.nth(n)
	if other == nil {
		return nil
	}
	list := b.listOf(other)
	i := slices.Index(*list, other)
	*list = slices.Delete(*list, i, i+1)
	b.flying = append(b.flying, other)
	return other
}

// takeThis is take for e alone.
func (b *backlog) takeThis(e *entry) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.head() != e {
		return false
	}
	list := b.listOf(e)
	*list = pop(*list)
	b.flying = append(b.flying, e)
	return true
}

// putBack returns an entry under way to its place.
func (b *backlog) putBack(e *entry) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.land(e)
	if !b.closed {
		b.insert(e)
	}
}

// insert puts an entry into its place. mu is held.
func (b *backlog) insert(e *entry) {
	list := b.listOf(e)
	i, _ := slices.BinarySearchFunc(*list, e.order, func(x *entry, order int64) int { return cmp.Compare(x.order, order) })
	*list = slices.Insert(*list, i, e)
	b.makeRoom()
}

// land ends the time under way of an entry. mu is held.
func (b *backlog) land(e *entry) {
	b.flying = slices.DeleteFunc(b.flying, func(x *entry) bool { return x == e })
	b.calling = time.Time{}
}

// discard drops an entry under way.
func (b *backlog) discard(e *entry, why runtimeinfo.DropReason) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.land(e)
	if !b.closed {
		b.drop(e, why)
	}
}

// conclude ends a call of the exporter that ended with err: the entry is settled,
// or waits again. It returns the exporter's state before.
func (b *backlog) conclude(e *entry, err error) (was runtimeinfo.ExporterState, settled bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	was = b.stats.State
	b.stats.LastDuration = time.Since(b.calling)
	b.land(e)
	switch {
	case b.closed: // the account is closed
	case guard.Settle(&b.stats, e.events, err):
		b.finish(e)
		return was, true
	default:
		guard.CountFailure(&b.stats, err)
		b.insert(e)
	}
	return was, false
}

// began notes that the exporter is called now.
func (b *backlog) began() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calling, b.told = time.Now(), false
}

// ahead returns the entries from e on whose bodies are on disk only, as many as
// are worth reading together.
func (b *backlog) ahead(e *entry) []*entry {
	const most = 64
	b.mu.Lock()
	defer b.mu.Unlock()
	want := []*entry{e}
	for _, next := range b.ticks[:min(len(b.ticks), most)] {
		if next.body == nil && next.key != 0 {
			want = append(want, next)
		}
	}
	return want
}

// content returns the body of an entry, nil if it has to be read from disk, and
// the schema that belongs to it.
func (b *backlog) content(e *entry) (body, schema []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return e.body, b.schemas[e.schema]
}

// lost tells that an entry whose body could not be read has none: its disk works.
func (b *backlog) lost(e *entry) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return e.key == 0 || b.onDisk
}
