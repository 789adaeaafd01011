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
	"github.com/gmpulse/gmpulse/internal/codec"
	"github.com/gmpulse/gmpulse/internal/guard"
)

// entryOverhead is about what an entry takes besides its body, in memory and on disk.
const entryOverhead = 160

// entry is one pending snapshot with its events. The backlog's mutex guards the
// second group of fields; the first group never changes.
type entry struct {
	accepted time.Time
	events   int
	size     int64
	schema   codec.SchemaID

	body  []byte        // nil once the entry is on disk
	key   uint64        // key in the store; 0 if the entry is not on disk
	done  bool          // delivered or dropped
	saved chan struct{} // closed once the entry is on disk or done; nil if no caller waits
}

// backlog holds the pending entries and the counters. It decides what is dropped.
// Its mutex is never held during I/O or a call of the wrapped exporter.
//
// The entries that are not on disk are the last ones: they are saved together, and
// a new entry is appended.
type backlog struct {
	maxBytes, maxMemory int64
	maxAge, timeout     time.Duration
	durable             bool // a directory is configured

	mu            sync.Mutex
	entries       []*entry // in the order of acceptance, including the one in flight
	inflight      *entry   // passed to the exporter, or about to be
	callStarted   time.Time
	overdueLogged bool
	bytes         int64    // size of all entries
	cached        int64    // size of the entries both on disk and in memory
	deletable     []uint64 // keys in the store whose entries are done
	schemas       map[codec.SchemaID][]byte
	stats         exporters.Stats
	onDisk        bool
	diskError     string
	closing       bool // no further entries are accepted
	closed        bool // results no longer count
}

// accept appends e. It returns the error of ctx, or [exporters.ErrShutdown]; e is then not
// counted.
func (b *backlog) accept(ctx context.Context, e *entry, schema []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closing {
		return exporters.ErrShutdown
	}
	if err := ctx.Err(); err != nil {
		return err // checked under the lock: after cancel, nothing more is accepted
	}
	if b.schemas[e.schema] == nil {
		b.addSchema(e.schema, schema)
	}
	b.count(e)
	b.entries = append(b.entries, e)
	b.makeRoom()
	return nil
}

// count adds e to the counters. b.mu is held.
func (b *backlog) count(e *entry) {
	b.stats.Snapshots.Accepted++
	b.stats.Events.Accepted += uint64(e.events)
	b.stats.Snapshots.Pending++
	b.stats.Events.Pending += uint64(e.events)
	b.bytes += e.size
}

// recover inserts the contents of a store before all other entries.
func (b *backlog) recover(c *contents) {
	b.mu.Lock()
	defer b.mu.Unlock()
	maps.Copy(b.schemas, c.schemas)
	for _, e := range c.entries {
		b.count(e)
		b.stats.Snapshots.Recovered++
		b.stats.Events.Recovered += uint64(e.events)
	}
	b.entries = slices.Concat(c.entries, b.entries)
	b.countLost(c.lost())
	b.makeRoom()
}

// recoverLost counts records of another store that cannot be delivered.
func (b *backlog) recoverLost(n uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.countLost(n)
}

// countLost counts records on disk that cannot be delivered. b.mu is held.
func (b *backlog) countLost(n uint64) {
	b.stats.Snapshots.Accepted += n
	b.stats.Snapshots.Recovered += n
	b.stats.Snapshots.Drop(exporters.DropUnreadable, n)
}

// unsaved returns the index of the first entry that is not on disk, and the size of
// those entries. b.mu is held.
func (b *backlog) unsaved() (first int, bytes int64) {
	first = len(b.entries)
	for first > 0 && b.entries[first-1].key == 0 {
		first--
		bytes += b.entries[first].size
	}
	return first, bytes
}

// makeRoom drops entries until both limits hold. b.mu is held.
func (b *backlog) makeRoom() {
	for b.bytes > b.maxBytes && b.dropOldest(0) {
	}
	for {
		first, bytes := b.unsaved()
		if bytes <= b.maxMemory || !b.dropOldest(first) {
			return
		}
	}
}

// dropOldest drops the oldest entry from index first on: one without events if there
// is one. It reports whether it has dropped one. b.mu is held.
func (b *backlog) dropOldest(first int) bool {
	list := b.entries[first:]
	i := slices.IndexFunc(list, func(e *entry) bool { return e != b.inflight && e.events == 0 })
	if i < 0 {
		i = slices.IndexFunc(list, func(e *entry) bool { return e != b.inflight })
	}
	if i < 0 {
		return false
	}
	b.drop(list[i], exporters.DropOverflow)
	return true
}

// drop removes e and counts it as lost. b.mu is held.
func (b *backlog) drop(e *entry, reason exporters.DropReason) {
	b.stats.Snapshots.Drop(reason, 1)
	b.stats.Events.Drop(reason, uint64(e.events))
	b.remove(e)
}

// remove removes e after its result was counted. b.mu is held.
func (b *backlog) remove(e *entry) {
	b.stats.Snapshots.Pending--
	b.stats.Events.Pending -= uint64(e.events)
	b.bytes -= e.size
	if e.key != 0 {
		b.deletable = append(b.deletable, e.key)
		if e.body != nil {
			b.cached -= e.size
		}
	}
	e.body, e.done = nil, true
	e.notifySaved()
	if i := slices.Index(b.entries, e); i == 0 {
		b.entries[0] = nil
		b.entries = b.entries[1:]
	} else {
		b.entries = slices.Delete(b.entries, i, i+1)
	}
}

func (e *entry) notifySaved() {
	if e.saved != nil {
		close(e.saved)
		e.saved = nil
	}
}

// pendingSaves returns one channel for each entry that exists in memory only. It is
// closed once the entry is on disk, delivered or dropped.
func (b *backlog) pendingSaves() (all []<-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	first, _ := b.unsaved()
	for _, e := range b.entries[first:] {
		if e.saved == nil {
			e.saved = make(chan struct{})
		}
		all = append(all, e.saved)
	}
	return all
}

// close makes accept fail.
func (b *backlog) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closing = true
}

// abandon ends the accounting. Entries in memory are counted as dropped.
func (b *backlog) abandon() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	b.closed = true
	b.stats.State = exporters.StateStopped
	first, _ := b.unsaved()
	for _, e := range slices.Clone(b.entries[first:]) {
		b.drop(e, exporters.DropShutdown)
	}
}

// addSchema stores a schema. It first removes unused ones if there are many: an
// application that registers a gauge now and then makes many. b.mu is held.
func (b *backlog) addSchema(id codec.SchemaID, schema []byte) {
	const many = 8
	if len(b.schemas) >= many {
		used := map[codec.SchemaID][]byte{}
		for _, e := range b.entries {
			used[e.schema] = b.schemas[e.schema]
		}
		b.schemas = used
	}
	b.schemas[id] = schema
}

func (b *backlog) report() exporters.Stats {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.stats
	s.Spool = &exporters.SpoolStats{Bytes: b.bytes, OnDisk: b.onDisk, DiskError: b.diskError}
	if b.durable {
		first, _ := b.unsaved()
		s.Spool.Unsaved = uint64(len(b.entries) - first)
	}
	if len(b.entries) > 0 {
		s.Spool.OldestAge = time.Since(b.entries[0].accepted)
	}
	if err := b.overdue(); err != nil {
		s.State, s.LastError = exporters.StateFailing, err.Error()
	}
	return s
}

// overdue returns an error while a call of the exporter exceeds its timeout. b.mu is
// held.
func (b *backlog) overdue() error {
	if b.closed || b.callStarted.IsZero() || time.Since(b.callStarted) <= b.timeout {
		return nil
	}
	return fmt.Errorf("%w: the call has not returned after %v", guard.ErrTimeout, b.timeout)
}

// logOverdue calls log once for each call of the exporter that exceeds its timeout.
func (b *backlog) logOverdue(log func(previous exporters.State, err error)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	err := b.overdue()
	if err == nil || b.overdueLogged || b.closing {
		return
	}
	b.overdueLogged = true
	previous := b.stats.State
	b.stats.State, b.stats.LastError = exporters.StateFailing, err.Error()
	log(previous, err)
}
