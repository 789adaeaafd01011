// SPDX-License-Identifier: Apache-2.0

package spool

import (
	"time"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/internal/guard"
)

// The methods of backlog that the sender calls. At most one entry is in flight.

// next puts the oldest entry in flight and returns it, or nil if there is none.
// Entries older than maxAge are dropped.
func (b *backlog) next() *entry {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.entries) > 0 && time.Since(b.entries[0].accepted) > b.maxAge {
		b.drop(b.entries[0], exporters.DropExpired)
	}
	return b.takeAt(0)
}

// takeAfter puts the entry n places after e in flight and returns it. It returns nil if
// there is none or if e is no longer the oldest entry.
func (b *backlog) takeAfter(e *entry, n int) *entry {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.entries) == 0 || b.entries[0] != e {
		return nil
	}
	return b.takeAt(n)
}

// takeAt puts an entry in flight. b.mu is held.
func (b *backlog) takeAt(i int) *entry {
	if i >= len(b.entries) {
		return nil
	}
	b.inflight = b.entries[i]
	return b.inflight
}

// release ends the flight of the entry in flight, which stays pending.
func (b *backlog) release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.land()
	b.makeRoom()
}

// land ends the flight. b.mu is held.
func (b *backlog) land() { b.inflight, b.callStarted = nil, time.Time{} }

// discard drops e, which is in flight.
func (b *backlog) discard(e *entry, reason exporters.DropReason) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.land()
	if !b.closed && !e.done {
		b.drop(e, reason)
	}
}

// begin records that the exporter is called now.
func (b *backlog) begin() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.callStarted, b.overdueLogged = time.Now(), false
}

// finish records that the call of the exporter for e returned err. It returns the
// exporter's previous state, and whether e is settled: delivered or refused for good.
func (b *backlog) finish(e *entry, err error) (previous exporters.State, settled bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	previous = b.stats.State
	b.stats.LastDuration = time.Since(b.callStarted)
	b.land()
	if b.closed || e.done {
		return previous, e.done
	}
	if guard.CountDelivery(&b.stats, e.events, err) {
		b.remove(e)
		return previous, true
	}
	guard.CountFailure(&b.stats, err)
	b.makeRoom()
	return previous, false
}

// content returns the body of e, its schema and its key in the store. The body is nil
// if it is on disk.
func (b *backlog) content(e *entry) (body, schema []byte, key uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return e.body, b.schemas[e.schema], e.key
}
