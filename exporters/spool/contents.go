// SPDX-License-Identifier: Apache-2.0

package spool

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/gmpulse/gmpulse/internal/codec"
)

// contents is what an opened store contains, without the bodies.
type contents struct {
	entries      []*entry
	schemas      map[codec.SchemaID][]byte
	unreadable   []uint64                // keys
	missing      uint64                  // records that the disk has lost although it confirmed them
	newerSchemas map[codec.SchemaID]bool // written by a newer version
	kept         int                     // records that only a newer version can read
}

// load reads the contents, and deletes unreadable records and unused schemas from the
// store. Records of a newer version are kept until maxAge.
func (s *store) load(now time.Time, maxAge time.Duration) (*contents, error) {
	c := &contents{schemas: map[codec.SchemaID][]byte{}, newerSchemas: map[codec.SchemaID]bool{}}
	var count uint64 // when the store was written
	err := s.db.View(func(tx *bolt.Tx) error {
		var dec codec.Decoder
		_ = tx.Bucket(schemasBucket()).ForEach(func(k, v []byte) error {
			if id, err := dec.Learn(v); err == nil {
				c.schemas[id] = append([]byte(nil), v...)
			} else if len(k) == 8 {
				c.newerSchemas[codec.SchemaID(binary.BigEndian.Uint64(k))] = true
			}
			return nil
		})
		records := tx.Bucket(recordsBucket())
		count = records.Sequence()
		var last []byte
		return records.ForEach(func(k, v []byte) error {
			if len(k) != 8 {
				return fmt.Errorf("%w: a key of %d bytes", errDamaged, len(k))
			}
			// bbolt's binary search needs ascending keys in leaves and branches.
			if bytes.Compare(k, last) <= 0 || records.Get(k) == nil {
				return fmt.Errorf("%w: key %x is out of order", errDamaged, k)
			}
			last = k
			c.add(binary.BigEndian.Uint64(k), v, now, maxAge)
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	s.kept = c.kept
	found := uint64(len(c.entries) + len(c.unreadable) + c.kept)
	c.missing = max(count, found) - found
	return c, s.clean(c, count)
}

// add classifies one record.
func (c *contents) add(key uint64, v []byte, now time.Time, maxAge time.Duration) {
	if !intact(key, v) {
		c.unreadable = append(c.unreadable, key)
		return
	}
	e, err := entryOf(key, v, now)
	switch newer := err != nil || c.newerSchemas[e.schema]; {
	case newer && now.Sub(e.accepted) <= maxAge:
		c.kept++
	case newer, c.schemas[e.schema] == nil:
		c.unreadable = append(c.unreadable, key)
	default:
		c.entries = append(c.entries, e)
	}
}

// clean deletes unreadable records and unused schemas, and corrects the number of records.
func (s *store) clean(c *contents, count uint64) error {
	left := uint64(len(c.entries) + c.kept)
	used := map[codec.SchemaID]bool{}
	for _, e := range c.entries {
		used[e.schema] = true
	}
	if len(c.unreadable) == 0 && len(c.schemas) == len(used) && count == left {
		return nil
	}
	return s.db.Update(func(tx *bolt.Tx) error {
		var errs []error
		for _, key := range c.unreadable {
			errs = append(errs, tx.Bucket(recordsBucket()).Delete(keyBytes(key)))
		}
		for id := range c.schemas {
			if !used[id] {
				delete(c.schemas, id)
				errs = append(errs, tx.Bucket(schemasBucket()).Delete(keyBytes(uint64(id))))
			}
		}
		return errors.Join(append(errs, tx.Bucket(recordsBucket()).SetSequence(left))...)
	})
}

// lost returns how many records cannot be delivered.
func (c *contents) lost() uint64 { return uint64(len(c.unreadable)) + c.missing }
