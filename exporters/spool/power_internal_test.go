// SPDX-License-Identifier: Apache-2.0

package spool

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/gmpulse/gmpulse/internal/codec"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// Loss of power, without a disk to cut off: a transaction of bbolt writes its pages,
// waits for them, and then writes a meta page. What a disk may hold if the power goes
// meanwhile is the file before, any of the pages written or half written, and the meta
// page whole, half, or not there.

// powerLoss models a power failure without cutting off a disk. A transaction of bbolt writes
// its pages, syncs, and then writes a meta page. If the power fails, the disk has the
// previous file, with any of the new pages whole or in part, and the meta page whole, in
// part or not at all.
type powerLoss struct {
	r             *rand.Rand
	before, after []byte
	pageSize      int
}

// metaPages is the number of meta pages at the start of a file.
const metaPages = 2

// changed returns the pages that differ.
func (p *powerLoss) changed() (data, meta []int) {
	for i := 0; i*p.pageSize < len(p.after); i++ {
		from, to := i*p.pageSize, (i+1)*p.pageSize
		if to <= len(p.before) && bytes.Equal(p.before[from:to], p.after[from:to]) {
			continue
		}
		if i < metaPages {
			meta = append(meta, i)
		} else {
			data = append(data, i)
		}
	}
	return data, meta
}

// file returns one such file. synced: all pages but the meta page are there.
func (p *powerLoss) file(synced bool) []byte {
	f := make([]byte, len(p.after))
	copy(f, p.before)
	data, meta := p.changed()
	for _, i := range data {
		p.write(f, i, synced)
	}
	if synced {
		for _, i := range meta {
			p.write(f, i, false)
		}
	}
	if !synced && p.r.IntN(2) == 0 && len(p.before) < len(f) {
		f = f[:len(p.before)] // the new length is lost, with the data behind the old one
	}
	return f
}

// write writes a page: whole, or nothing, or some of its sectors.
func (p *powerLoss) write(f []byte, page int, whole bool) {
	const sector = 512
	from, to := page*p.pageSize, (page+1)*p.pageSize
	how := p.r.IntN(3)
	for at := from; at < to; at += sector {
		if whole || how == 1 || how == 2 && p.r.IntN(2) == 0 {
			copy(f[at:at+sector], p.after[at:at+sector])
		}
	}
}

// The power fails at every transaction of a store that is filled, emptied and filled again.
// The store that opens afterwards has the state before or after the transaction.
func TestPowerFailureLosesNoCommittedTransaction(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 16)) //nolint:gosec // a test
	dir := t.TempDir()
	s := &store{path: filepath.Join(dir, "exporter.db")}
	if err := s.open(); err != nil {
		t.Fatal(err)
	}
	defer s.close()
	var enc codec.Encoder
	var there []uint64
	p := powerLoss{r: r, pageSize: os.Getpagesize(), after: contentsOf(t, s.path)}
	cuts := 0
	for step := range 60 {
		old := slices.Clone(there)
		there = transact(t, s, &enc, r, there)
		p.before, p.after = p.after, contentsOf(t, s.path)
		for range 8 {
			synced := r.IntN(2) == 0
			cut := filepath.Join(dir, "cut.db")
			if err := os.WriteFile(cut, p.file(synced), 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := keysOf(cut)
			switch {
			case err != nil:
				t.Fatalf("step %d: %v", step, err)
			case slices.Equal(got, old), synced && slices.Equal(got, there):
			default:
				t.Fatalf("step %d: got %v, want %v or %v", step, got, old, there)
			}
			cuts++
		}
	}
	t.Logf("%d cuts", cuts)
}

// transact adds and removes some records and returns the keys of those that are left.
func transact(t *testing.T, s *store, enc *codec.Encoder, r *rand.Rand, there []uint64) []uint64 {
	t.Helper()
	c := change{schemas: map[codec.SchemaID][]byte{}}
	for range r.IntN(6) {
		x := runtimeinfo.NewSnapshot()
		x.Seq, x.Time = r.Uint64(), time.Now()
		for range r.IntN(3) {
			x.Events = append(x.Events, runtimeinfo.Event{Message: string(bytes.Repeat([]byte("x"), r.IntN(8000)))})
		}
		body, err := enc.Append(nil, x)
		if err != nil {
			t.Fatal(err)
		}
		c.put = append(c.put, newRecord(&entry{accepted: time.Now(), events: len(x.Events)}, body))
	}
	if len(c.put) > 0 {
		id, schema := enc.Schema()
		c.schemas[id] = schema
	}
	n := r.IntN(len(there) + 1)
	c.remove = slices.Clone(there[:n])
	there = slices.Clone(there[n:])
	first, err := s.commit(c)
	if err != nil {
		t.Fatal(err)
	}
	for i := range c.put {
		there = append(there, first+uint64(i))
	}
	return there
}

func contentsOf(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// keysOf opens a store and returns the keys of its records. It fails if one is damaged.
func keysOf(path string) (keys []uint64, err error) {
	s := &store{path: path}
	if err := s.open(); err != nil {
		return nil, err
	}
	defer s.close()
	c, err := s.load(time.Now(), time.Hour)
	if err != nil {
		return nil, err
	}
	if len(c.unreadable) > 0 {
		return nil, fmt.Errorf("%d records cannot be read", len(c.unreadable))
	}
	for _, e := range c.entries {
		keys = append(keys, e.key)
	}
	return keys, nil
}

// A disk that loses writes in spite of fsync leaves a mixture of pages. Such a store may be
// damaged, but opening it returns, without a panic, and the records that it returns are
// intact.
func TestDiskThatLosesSyncedWrites(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 16)) //nolint:gosec // a test
	dir := t.TempDir()
	s := &store{path: filepath.Join(dir, "exporter.db")}
	if err := s.open(); err != nil {
		t.Fatal(err)
	}
	defer s.close()
	var enc codec.Encoder
	var there []uint64
	states := [][]byte{contentsOf(t, s.path)}
	for range 40 {
		there = transact(t, s, &enc, r, there)
		states = append(states, contentsOf(t, s.path))
	}
	damaged := 0
	for i := range 400 {
		cut := filepath.Join(dir, strconv.Itoa(i)) // a damaged file stays locked
		if err := os.WriteFile(cut, mixture(r, states), 0o600); err != nil {
			t.Fatal(err)
		}
		err := recoverPanic(func() error { _, err := keysOf(cut); return err })
		if err != nil && !errors.Is(err, errDamaged) && !bytes.Contains([]byte(err.Error()), []byte("cannot be read")) {
			t.Fatal(err)
		}
		if err != nil {
			damaged++
		}
	}
	t.Logf("%d of 400 were damaged", damaged)
	if damaged == 0 || damaged == 400 {
		t.Error("want some damaged stores and some intact ones")
	}
}

// mixture takes each page from one of the last states.
func mixture(r *rand.Rand, states [][]byte) []byte {
	last := 2 + r.IntN(len(states)-2)
	f := slices.Clone(states[last])
	size := os.Getpagesize()
	for at := 0; at+size <= len(f); at += size {
		if older := states[last-1-r.IntN(min(last, 3))]; r.IntN(4) == 0 && at+size <= len(older) {
			copy(f[at:at+size], older[at:at+size])
		}
	}
	return f
}

// Records that arrive during a slow transaction stay in memory, count as unsaved, and are
// written together by the next one.
func TestSlowDiskWritesInBatches(t *testing.T) {
	b := &backlog{maxBytes: 1 << 20, maxMemory: 1 << 20, maxAge: time.Hour, durable: true, schemas: map[codec.SchemaID][]byte{}}
	accept := func() {
		body := binary.BigEndian.AppendUint64(nil, uint64(len(b.entries)))
		if err := b.accept(t.Context(), &entry{accepted: time.Now(), size: 100, body: body}, []byte{1}); err != nil {
			t.Fatal(err)
		}
	}
	accept()
	accept()
	first, _ := b.due(0)
	if first == nil || len(first.entries) != 2 {
		t.Fatalf("%+v", first)
	}
	for range 100 { // during the transaction
		accept()
	}
	if n := b.report().Spool.Unsaved; n != 102 {
		t.Errorf("%d unsaved, want 102", n)
	}
	b.markSaved(first, 1)
	if n := b.report().Spool.Unsaved; n != 100 {
		t.Errorf("%d unsaved after the first transaction, want 100", n)
	}
	second, wait := b.due(0)
	if second == nil || len(second.entries) != 100 || wait != 0 {
		t.Fatalf("the second transaction is not due at once with all that waits: %v", wait)
	}
	b.markSaved(second, 3)
	if n := b.report().Spool.Unsaved; n != 0 {
		t.Errorf("%d unsaved at the end", n)
	}
}
