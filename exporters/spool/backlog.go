// SPDX-License-Identifier: Apache-2.0

package spool

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/internal/guard"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// overhead is what an entry takes beside its body, about, in memory and on disk.
const overhead = 160

// entry is one snapshot that waits, with its events.
type entry struct {
	at     time.Time // when it was accepted
	events int
	size   int64
	schema runtimeinfo.SchemaID

	// What follows is guarded by the backlog.
	order int64         // place in the stream; those of an earlier process are below zero
	body  []byte        // nil: on disk only
	key   uint64        // in the store; 0: not there
	done  bool          // delivered or dropped
	safe  chan struct{} // closed when it is on disk or done; nil while nobody waits
}

// backlog is what waits, and the account of it. It decides what gives way; the
// disk is a mirror of it. Nothing is done under its lock but bookkeeping.
type backlog struct {
	maxBytes, maxMemory int64
	maxAge              time.Duration
	durable             bool // a directory is set

	mu sync.Mutex
	// ticks have no events and give way first; both lists are in order. What is
	// under way to the backend is in neither.
	ticks, eventful []*entry
	flying          []*entry
	calling         time.Time // since when the exporter is at work, else zero
	told            bool      // that it does not return
	last            int64     // order of the newest
	bytes           int64     // of all that waits
	unsaved         []*entry
	unsavedBytes    int64
	cached          int64    // bytes of bodies that are on disk too
	garbage         []uint64 // keys of what is done
	schemas         map[runtimeinfo.SchemaID][]byte
	stats           runtimeinfo.ExporterStats
	timeout         time.Duration // of one call of the exporter
	onDisk          bool
	diskError       string
	closing         bool // nothing more is accepted
	closed          bool // results no longer count
}

// accept takes an entry, or all of it gives way at once. The error is that of
// ctx, or [exporters.ErrShutdown]; then nothing was accepted.
func (b *backlog) accept(ctx context.Context, e *entry, schema []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closing {
		return exporters.ErrShutdown
	}
	if err := ctx.Err(); err != nil {
		return err // under the lock: the caller counts on it after a cancel
	}
	if b.schemas[e.schema] == nil {
		b.keepSchema(e.schema, schema)
	}
	b.last++
	e.order = b.last
	b.admit(e)
	if b.durable {
		b.unsaved = append(b.unsaved, e)
		b.unsavedBytes += e.size
	}
	b.makeRoom()
	return nil
}

// admit counts an entry and puts it at the end of its list. mu is held.
func (b *backlog) admit(e *entry) {
	b.stats.Snapshots.Accepted++
	b.stats.Events.Accepted += uint64(e.events)
	b.stats.Snapshots.Pending++
	b.stats.Events.Pending += uint64(e.events)
	b.bytes += e.size
	list := b.listOf(e)
	*list = append(*list, e)
}

// recover takes what an earlier process left, in order, as older than all that
// waits.
func (b *backlog) recover(c *contents) {
	b.mu.Lock()
	defer b.mu.Unlock()
	maps.Copy(b.schemas, c.schemas)
	ticks, eventful := b.ticks, b.eventful
	b.ticks, b.eventful = nil, nil
	for i, e := range c.entries {
		e.order = int64(i - len(c.entries))
		b.admit(e)
		b.stats.Snapshots.Recovered++
		b.stats.Events.Recovered += uint64(e.events)
	}
	b.ticks, b.eventful = append(b.ticks, ticks...), append(b.eventful, eventful...)
	lost := uint64(len(c.bad))
	b.stats.Snapshots.Accepted += lost
	b.stats.Snapshots.Recovered += lost
	b.stats.Snapshots.Dropped[runtimeinfo.DropUnreadable] += lost
	b.makeRoom()
}

func (b *backlog) listOf(e *entry) *[]*entry {
	if e.events > 0 {
		return &b.eventful
	}
	return &b.ticks
}

// makeRoom drops the oldest until all bounds hold: of those without events while
// there are any, so that an event never gives way to a tick. mu is held.
func (b *backlog) makeRoom() {
	for b.bytes > b.limit() && len(b.ticks)+len(b.eventful) > 0 {
		list := &b.ticks
		if len(*list) == 0 {
			list = &b.eventful
		}
		b.drop((*list)[0], runtimeinfo.DropOverflow)
		*list = pop(*list)
	}
	for b.unsavedBytes > b.maxMemory && b.dropUnsaved(&b.ticks) || b.unsavedBytes > b.maxMemory && b.dropUnsaved(&b.eventful) {
	}
}

func (b *backlog) limit() int64 {
	if b.durable {
		return b.maxBytes
	}
	return b.maxMemory
}

// dropUnsaved drops the oldest entry of a list that is not on disk. mu is held.
func (b *backlog) dropUnsaved(list *[]*entry) bool {
	i := slices.IndexFunc(*list, func(e *entry) bool { return e.key == 0 })
	if i < 0 {
		return false
	}
	b.drop((*list)[i], runtimeinfo.DropOverflow)
	*list = slices.Delete(*list, i, i+1)
	return true
}

func pop(list []*entry) []*entry {
	list[0] = nil // for the collector: the array lives on
	return list[1:]
}

// drop counts an entry that is in no list any more as lost. mu is held.
func (b *backlog) drop(e *entry, why runtimeinfo.DropReason) {
	b.stats.Snapshots.Dropped[why]++
	b.stats.Events.Dropped[why] += uint64(e.events)
	b.finish(e)
}

// finish ends the life of an entry whose fate is counted. mu is held.
func (b *backlog) finish(e *entry) {
	b.stats.Snapshots.Pending--
	b.stats.Events.Pending -= uint64(e.events)
	b.bytes -= e.size
	b.forgetBody(e)
	e.done = true
	b.release(e)
	if e.key != 0 {
		b.garbage = append(b.garbage, e.key)
		return
	}
	if i := slices.Index(b.unsaved, e); i >= 0 {
		b.unsaved = slices.Delete(b.unsaved, i, i+1)
		b.unsavedBytes -= e.size
	}
}

func (b *backlog) forgetBody(e *entry) {
	if e.key != 0 && e.body != nil {
		b.cached -= e.size
	}
	e.body = nil
}

func (b *backlog) release(e *entry) {
	if e.safe != nil {
		close(e.safe)
		e.safe = nil
	}
}

// unsafe returns what to wait for until nothing is in memory only.
func (b *backlog) unsafe() (all []<-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := b.unsaved
	if !b.durable {
		list = slices.Concat(b.flying, b.ticks, b.eventful)
	}
	for _, e := range list {
		if e.safe == nil {
			e.safe = make(chan struct{})
		}
		all = append(all, e.safe)
	}
	return all
}

// abandon closes the account: what only memory has is lost with the process.
func (b *backlog) abandon() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	b.closed = true
	b.stats.State = runtimeinfo.ExporterStopped
	lost := b.unsaved
	if !b.durable {
		lost = slices.Concat(b.flying, b.ticks, b.eventful)
		b.ticks, b.eventful = nil, nil
	}
	for _, e := range slices.Clone(lost) {
		b.drop(e, runtimeinfo.DropShutdown)
	}
}

// keepSchema remembers a schema and, where there are many, forgets those that no
// entry needs: an application that adds a gauge now and then makes many. mu is held.
func (b *backlog) keepSchema(id runtimeinfo.SchemaID, schema []byte) {
	const many = 8
	if len(b.schemas) >= many {
		needed := map[runtimeinfo.SchemaID][]byte{}
		for _, e := range slices.Concat(b.flying, b.ticks, b.eventful) {
			needed[e.schema] = b.schemas[e.schema]
		}
		b.schemas = needed
	}
	b.schemas[id] = schema
}

func (b *backlog) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closing = true
}

func (b *backlog) report() runtimeinfo.ExporterStats {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.stats
	s.Spool = &runtimeinfo.SpoolStats{Bytes: b.bytes, Unsaved: uint64(len(b.unsaved)), OnDisk: b.onDisk, DiskError: b.diskError}
	if e := b.oldest(); e != nil {
		s.Spool.OldestAge = time.Since(e.at)
	}
	if err := b.overdue(); err != nil {
		s.State, s.LastError = runtimeinfo.ExporterFailing, err.Error()
	}
	return s
}

// overdue is an error while a call of the exporter does not return. mu is held.
func (b *backlog) overdue() error {
	if b.closed || b.calling.IsZero() || time.Since(b.calling) <= b.timeout {
		return nil
	}
	return fmt.Errorf("%w: the call has not returned after %v", guard.ErrTimeout, b.timeout)
}

// noticeOverdue has a call that does not return told, once.
func (b *backlog) noticeOverdue(tell func(was runtimeinfo.ExporterState, err error)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	err := b.overdue()
	if err == nil || b.told || b.closing {
		return
	}
	b.told = true
	was := b.stats.State
	b.stats.State, b.stats.LastError = runtimeinfo.ExporterFailing, err.Error()
	tell(was, err)
}

// oldest is what has waited longest, under way or not. mu is held.
func (b *backlog) oldest() *entry {
	if len(b.flying) > 0 {
		return b.flying[0]
	}
	return b.head()
}
