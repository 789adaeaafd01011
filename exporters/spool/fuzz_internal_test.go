// SPDX-License-Identifier: Apache-2.0

package spool

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/fnv"
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/gmpulse/gmpulse/exporters"
	"github.com/gmpulse/gmpulse/internal/codec"
	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// smallStore returns the file of a store with a few records, one record and its schema.
func smallStore(f *testing.F) (file, schema, record []byte) {
	f.Helper()
	s := &store{path: filepath.Join(f.TempDir(), "exporter.db")}
	if err := s.open(); err != nil {
		f.Fatal(err)
	}
	defer s.close()
	var enc codec.Encoder
	x := runtimeinfo.NewSnapshot(runtimeinfo.Point{Metric: &runtimeinfo.Metric{Name: "a"}, Number: 1})
	c := change{schemas: map[codec.SchemaID][]byte{}}
	for range 5 {
		x.Seq++
		x.Events = append(x.Events, runtimeinfo.Event{Message: "grew"})
		body, err := enc.Append(nil, x)
		if err != nil {
			f.Fatal(err)
		}
		c.put, record = append(c.put, newRecord(&entry{accepted: time.Now(), events: len(x.Events)}, body)), body
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

// edited overwrites bytes of a file. Each edit is a two-byte position and a byte. A position
// whose highest bit is set falls into a page header or the first bytes of an element. The
// meta pages get valid checksums.
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
	const metaSize = 64
	for at := range 2 {
		b := file[at*size+pageHeaderSize:][:metaSize]
		sum := fnv.New64a()
		_, _ = sum.Write(b[:metaSize-8])
		binary.NativeEndian.PutUint64(b[metaSize-8:], sum.Sum64())
	}
	return file
}

// Opening, reading and changing a store returns whatever its file contains. bbolt may panic,
// which the diskWriter recovers; this package must not.
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
		defer debug.SetPanicOnFault(debug.SetPanicOnFault(true)) // as on the diskWriter's goroutine
		s := &store{path: path}
		defer func() { _ = recoverPanic(func() error { s.close(); return nil }) }()
		err := recoverPanic(func() error { return useStore(t, s) })
		if err != nil && !errors.Is(err, errDamaged) {
			t.Log(err)
		}
	})
}

// useStore opens s, reads its records, adds one and deletes the others.
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
	if _, err := s.commit(change{put: [][]byte{newRecord(&entry{accepted: time.Now()}, []byte("x"))}, remove: keys}); err != nil {
		return err
	}
	return s.db.View(func(tx *bolt.Tx) error {
		return tx.Bucket(recordsBucket()).ForEach(func(_, _ []byte) error { return nil })
	})
}

// A record with a valid checksum may have been written by another version. It is decoded and
// exported, or refused.
func FuzzRecord(f *testing.F) {
	_, schema, record := smallStore(f)
	f.Add(schema, record, int64(1.8e18), uint32(3))
	f.Add(schema[:len(schema)/2], record, int64(-1), uint32(1<<31))
	f.Add(schema, record[:9], int64(0), uint32(0))
	f.Fuzz(func(t *testing.T, schema, record []byte, at int64, events uint32) {
		now := time.Unix(1.8e9, 0)
		v := newRecord(&entry{accepted: time.Unix(0, at), events: int(events)}, record)
		setChecksum(7, v)
		var dec codec.Decoder
		c := &contents{schemas: map[codec.SchemaID][]byte{}, newerSchemas: map[codec.SchemaID]bool{}}
		if id, err := dec.Learn(schema); err == nil {
			c.schemas[id] = schema
		}
		c.add(7, v, now, time.Hour)
		if n := len(c.unreadable) + len(c.entries) + c.kept; n != 1 {
			t.Fatalf("one record has %d classifications", n)
		}
		for _, e := range c.entries {
			if now.Sub(e.accepted) < 0 || e.events < 0 || e.size < entryOverhead {
				t.Errorf("entry %+v", e)
			}
			s, err := dec.Decode(v[headerSize:])
			if err != nil {
				continue // the sender drops it as unreadable
			}
			for range exporters.FullRecord(s) {
			}
			for i := range s.Events {
				for range exporters.EventRecord(s, &s.Events[i]) {
				}
			}
		}
	})
}
