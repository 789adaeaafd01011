// SPDX-License-Identifier: Apache-2.0

package spool

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/fnv"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// smallStore returns the file of a store with a few records, and a record and its
// schema.
func smallStore(f *testing.F) (file, schema, record []byte) {
	f.Helper()
	s := newStore(filepath.Join(f.TempDir(), "exporter.db"))
	if err := s.open(); err != nil {
		f.Fatal(err)
	}
	defer s.close()
	var enc runtimeinfo.Encoder
	x := runtimeinfo.NewSnapshot(runtimeinfo.Point{Metric: &runtimeinfo.Metric{Name: "a"}, Number: 1})
	c := change{schemas: map[runtimeinfo.SchemaID][]byte{}}
	for range 5 {
		x.Seq++
		x.Events = append(x.Events, runtimeinfo.Event{Message: "grew"})
		body, err := enc.Append(nil, x)
		if err != nil {
			f.Fatal(err)
		}
		c.put, record = append(c.put, compose(&entry{at: time.Now(), events: len(x.Events)}, body)), body
	}
	id, schema := enc.Schema()
	c.schemas[id] = bytes.Clone(schema)
	if _, err := s.commit(c); err != nil {
		f.Fatal(err)
	}
	file, err := os.ReadFile(s.path)
	if err != nil {
		f.Fatal(err)
	}
	return file, c.schemas[id], record
}

// edited writes over a file: each edit is two bytes of a place, which is within the
// first four bytes of an element or within a page's head where its highest bit is set,
// and a byte. The pages that describe the file then get their checksums anew.
func edited(file, edits []byte) []byte {
	file = bytes.Clone(file)
	size := os.Getpagesize()
	for ; len(edits) >= 3; edits = edits[3:] {
		at := int(binary.LittleEndian.Uint16(edits))
		if at >= 1<<15 {
			at = at%(len(file)/size)*size + at/64%64
		}
		file[at%len(file)] = edits[2]
	}
	for at := range 2 {
		b := file[at*size+pageHeader:][:metaSize]
		sum := fnv.New64a()
		_, _ = sum.Write(b[:metaSize-8])
		binary.NativeEndian.PutUint64(b[metaSize-8:], sum.Sum64())
	}
	return file
}

// Whatever a file holds, opening, reading and changing it ends. bbolt may panic, which
// the keeper recovers; nothing else of ours may.
func FuzzStore(f *testing.F) {
	file, _, _ := smallStore(f)
	f.Add([]byte{})
	f.Add([]byte{16, 0, 9, 200, 200, 7})
	f.Add([]byte{8, 0x80, 2, 72, 0x81, 1, 90, 0xc0, 0})
	f.Fuzz(func(t *testing.T, edits []byte) {
		path := filepath.Join(t.TempDir(), "exporter.db")
		bad := edited(file, edits)
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if verify(bytes.NewReader(bad), int64(len(bad))) != nil {
			return // the store does not go on
		}
		k := newKeeper(Config{Dir: t.TempDir(), Name: "exporter", MaxAge: time.Hour, Logger: slog.New(slog.DiscardHandler)}, nil)
		s := newStore(path)
		defer func() { _ = k.guarded(func() error { s.close(); return nil }) }()
		err := k.guarded(func() error { return useStore(t, s) })
		if err != nil && !errors.Is(err, errDamaged) {
			t.Log(err)
		}
	})
}

// useStore opens s, reads its records, puts one and removes the others.
func useStore(t *testing.T, s *store) error {
	t.Helper()
	if err := s.open(); err != nil {
		return err
	}
	s.db.NoSync = true
	c, err := s.load(time.Now(), time.Hour)
	if err != nil {
		return err
	}
	var keys []uint64
	for _, e := range c.entries {
		keys = append(keys, e.key)
	}
	values, err := s.read(keys)
	if err != nil {
		return err
	}
	for i, v := range values {
		if v == nil || !intact(keys[i], v) {
			t.Errorf("record %d was loaded, and is not intact", keys[i])
		}
	}
	if _, err := s.commit(change{put: [][]byte{compose(&entry{at: time.Now()}, []byte("x"))}, remove: keys}); err != nil {
		return err
	}
	return s.db.View(func(tx *bolt.Tx) error {
		return tx.Bucket(recordsBucket()).ForEach(func(_, _ []byte) error { return nil })
	})
}

// What stands in a record whose checksum is right is sorted, decoded and exported, or
// refused: an older or newer version of this package may have written it.
func FuzzRecord(f *testing.F) {
	_, schema, record := smallStore(f)
	f.Add(schema, record, int64(1.8e18), uint32(3))
	f.Add(schema[:len(schema)/2], record, int64(-1), uint32(1<<31))
	f.Add(schema, record[:9], int64(0), uint32(0))
	f.Fuzz(func(t *testing.T, schema, record []byte, at int64, events uint32) {
		now := time.Unix(1.8e9, 0)
		v := compose(&entry{at: time.Unix(0, at), events: int(events)}, record)
		seal(7, v)
		var dec runtimeinfo.Decoder
		c := &contents{schemas: map[runtimeinfo.SchemaID][]byte{}, newer: map[runtimeinfo.SchemaID]bool{}}
		if id, err := dec.Learn(schema); err == nil {
			c.schemas[id] = schema
		}
		c.take(7, v, now, time.Hour)
		if n := len(c.bad) + len(c.entries) + c.kept; n != 1 {
			t.Fatalf("one record is sorted into %d places", n)
		}
		for _, e := range c.entries {
			if now.Sub(e.at) < 0 || e.events < 0 || e.size < overhead {
				t.Errorf("entry %+v", e)
			}
			s, err := dec.Decode(v[headSize:])
			if err != nil {
				continue // the sender puts it among the dead letters
			}
			for range exporters.Record(s) {
			}
			for i := range s.Events {
				for range exporters.EventRecord(s, &s.Events[i]) {
				}
			}
		}
	})
}
