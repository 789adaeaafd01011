// SPDX-License-Identifier: Apache-2.0

package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

// Errors that decide what becomes of a store.
var (
	errLocked  = errors.New("another process uses the store")
	errDamaged = errors.New("the store is damaged")
	errForeign = errors.New("the file is not of this user alone, and is left as it is")
)

// store is one bbolt file: a bucket of records by number, a bucket of schemas by
// id. Only one goroutine may use it, one that turns faults into panics and
// recovers them, see [keeper]: the file is mapped into memory, and bbolt panics
// where its contents make no sense.
type store struct {
	path    string
	db      *bolt.DB
	file    *os.File // of db: its lock, and what it reads
	next    uint64   // key of the next record
	schemas map[runtimeinfo.SchemaID]bool
	kept    int // records of a newer version, which stay for it
}

// change is what one transaction does.
type change struct {
	put     [][]byte // composed; gets keys from store.next on, and checksums
	schemas map[runtimeinfo.SchemaID][]byte
	remove  []uint64
}

func recordsBucket() []byte { return []byte("records") }
func schemasBucket() []byte { return []byte("schemas") }

// growth is the step in which a file grows once it is larger than that.
const growth = 1 << 20

func newStore(path string) *store {
	return &store{path: path, schemas: map[runtimeinfo.SchemaID]bool{}}
}

// open opens or makes the file. The error is errLocked, errDamaged (the store is
// then still locked, to be set aside before anybody else opens it), errForeign, or
// the operating system's.
func (s *store) open() error {
	for {
		var err error
		s.db, err = bolt.Open(s.path, 0o600, &bolt.Options{
			Timeout:      time.Millisecond, // one try
			OpenFile:     s.openFile,
			NoStatistics: true,
		})
		if err != nil {
			return classify(err)
		}
		s.db.AllocSize = growth
		current, err := s.current()
		if err == nil && current {
			err = s.check()
		}
		if err != nil && !errors.Is(err, errDamaged) {
			s.close()
		}
		if err != nil || current {
			return err
		}
		// Between opening and locking, the one who had the lock removed the file.
		s.close()
	}
}

// openFile is how bbolt opens its file.
func (s *store) openFile(path string, flag int, mode os.FileMode) (*os.File, error) {
	f, err := os.OpenFile(path, flag|openFlags, mode)
	if err != nil {
		return nil, err
	}
	if err := owned(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	s.file = f
	return f, nil
}

// current tells whether the file that is open is the one at the path.
func (s *store) current() (bool, error) {
	open, err := s.file.Stat()
	if err != nil {
		return false, err
	}
	there, err := os.Stat(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && os.SameFile(open, there), err
}

// check walks the file before bbolt does, and makes the buckets.
func (s *store) check() error {
	info, err := s.file.Stat()
	if err != nil {
		return err
	}
	if err := verify(s.file, info.Size()); err != nil {
		return fmt.Errorf("%w: %w", errDamaged, err)
	}
	return s.db.Update(func(tx *bolt.Tx) error {
		_, err1 := tx.CreateBucketIfNotExists(recordsBucket())
		_, err2 := tx.CreateBucketIfNotExists(schemasBucket())
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
		s.next = 1 // 0 is no key
		if k, _ := tx.Bucket(recordsBucket()).Cursor().Last(); len(k) == 8 {
			s.next = binary.BigEndian.Uint64(k) + 1
		}
		return nil
	})
}

// classify tells a damaged file from one that is locked and from a disk that
// cannot be used.
func classify(err error) error {
	var path *fs.PathError
	var number syscall.Errno
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return errLocked
	case errors.Is(err, errForeign):
		return err
	case errors.Is(err, syscall.ELOOP): // a link, where links are not followed
		return fmt.Errorf("%w: it is a link: %w", errForeign, err)
	case errors.As(err, &path) || errors.As(err, &number):
		return err
	default:
		return fmt.Errorf("%w: %w", errDamaged, err)
	}
}

// The head of a stored value: checksum of its key and all that follows, when the
// record was accepted, how many events it has.
const headSize = 4 + 8 + 4

// compose makes a stored value that has no checksum yet.
func compose(e *entry, body []byte) []byte {
	v := make([]byte, headSize, headSize+len(body))
	binary.LittleEndian.PutUint64(v[4:], uint64(e.at.UnixNano()))
	binary.LittleEndian.PutUint32(v[12:], uint32(e.events))
	return append(v, body...)
}

// seal gives a stored value its checksum: bbolt has none for its data.
func seal(key uint64, v []byte) { binary.LittleEndian.PutUint32(v, checksum(key, v)) }

func intact(key uint64, v []byte) bool {
	return len(v) >= headSize && len(v) <= headSize+runtimeinfo.MaxEncoded && checksum(key, v) == binary.LittleEndian.Uint32(v)
}

func checksum(key uint64, v []byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	return crc32.Update(crc32.Checksum(number(key), table), table, v[4:])
}

// entryOf makes an entry of a stored value that was checked. Its age goes by the
// clock of now: a record from the future has just been accepted.
func entryOf(key uint64, v []byte, now time.Time) (*entry, error) {
	at := time.Unix(0, int64(binary.LittleEndian.Uint64(v[4:])))
	schema, err := runtimeinfo.SchemaOf(v[headSize:])
	return &entry{
		at:     now.Add(-max(0, now.Sub(at))), // from here on by the monotonic clock
		events: int(binary.LittleEndian.Uint32(v[12:])),
		size:   overhead + int64(len(v)-headSize),
		schema: schema,
		key:    key,
	}, err
}

// contents is what a store holds when it is opened.
type contents struct {
	entries []*entry
	schemas map[runtimeinfo.SchemaID][]byte
	bad     []uint64 // keys of what cannot be read
	// newer are the ids of schemas that a newer version wrote, kept how many records.
	newer map[runtimeinfo.SchemaID]bool
	kept  int
}

// take sorts one stored record.
func (c *contents) take(key uint64, v []byte, now time.Time, maxAge time.Duration) {
	if !intact(key, v) {
		c.bad = append(c.bad, key)
		return
	}
	e, err := entryOf(key, v, now)
	switch newer := err != nil || c.newer[e.schema]; {
	case newer && now.Sub(e.at) <= maxAge:
		c.kept++
	case newer, c.schemas[e.schema] == nil:
		c.bad = append(c.bad, key)
	default:
		c.entries = append(c.entries, e)
	}
}

// load reads all of it but the bodies, and drops what is of no use: damaged
// records, and schemas that no record needs.
func (s *store) load(now time.Time, maxAge time.Duration) (*contents, error) {
	c := &contents{schemas: map[runtimeinfo.SchemaID][]byte{}, newer: map[runtimeinfo.SchemaID]bool{}}
	err := s.db.View(func(tx *bolt.Tx) error {
		var dec runtimeinfo.Decoder
		_ = tx.Bucket(schemasBucket()).ForEach(func(k, v []byte) error {
			if id, err := dec.Learn(v); err == nil {
				c.schemas[id] = append([]byte(nil), v...)
			} else if len(k) == 8 {
				c.newer[runtimeinfo.SchemaID(binary.BigEndian.Uint64(k))] = true
			}
			return nil
		})
		return tx.Bucket(recordsBucket()).ForEach(func(k, v []byte) error {
			if len(k) != 8 {
				return fmt.Errorf("%w: a key of %d bytes", errDamaged, len(k))
			}
			c.take(binary.BigEndian.Uint64(k), v, now, maxAge)
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	s.kept = c.kept
	needed := map[runtimeinfo.SchemaID]bool{}
	for _, e := range c.entries {
		needed[e.schema] = true
	}
	return c, s.clean(c, needed)
}

func (s *store) clean(c *contents, needed map[runtimeinfo.SchemaID]bool) error {
	var useless []runtimeinfo.SchemaID
	for id := range c.schemas {
		if s.schemas[id] = needed[id]; !needed[id] {
			useless = append(useless, id)
			delete(c.schemas, id)
			delete(s.schemas, id)
		}
	}
	if len(c.bad)+len(useless) == 0 {
		return nil
	}
	return s.db.Update(func(tx *bolt.Tx) error {
		var errs []error
		for _, key := range c.bad {
			errs = append(errs, tx.Bucket(recordsBucket()).Delete(number(key)))
		}
		for _, id := range useless {
			errs = append(errs, tx.Bucket(schemasBucket()).Delete(number(uint64(id))))
		}
		return errors.Join(errs...)
	})
}

func number(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// commit makes a change durable, or nothing of it. It returns the key of the
// first record put.
func (s *store) commit(c change) (first uint64, err error) {
	first = s.next
	err = s.db.Update(func(tx *bolt.Tx) error {
		records, schemas := tx.Bucket(recordsBucket()), tx.Bucket(schemasBucket())
		records.FillPercent = 1 // keys only rise
		var errs []error
		for _, key := range c.remove {
			errs = append(errs, records.Delete(number(key)))
		}
		for id, schema := range c.schemas {
			errs = append(errs, schemas.Put(number(uint64(id)), schema))
		}
		for i, v := range c.put {
			key := first + uint64(i)
			seal(key, v)
			errs = append(errs, records.Put(number(key), v))
		}
		return errors.Join(errs...)
	})
	if err != nil {
		return 0, err
	}
	s.next += uint64(len(c.put))
	for id := range c.schemas {
		s.schemas[id] = true
	}
	return first, nil
}

// read returns the stored values of keys, nil for one that is missing or damaged.
func (s *store) read(keys []uint64) ([][]byte, error) {
	values := make([][]byte, len(keys))
	err := s.db.View(func(tx *bolt.Tx) error {
		for i, key := range keys {
			v := tx.Bucket(recordsBucket()).Get(number(key))
			if intact(key, v) {
				values[i] = append([]byte(nil), v...)
			}
		}
		return nil
	})
	return values, err
}

// remove deletes the file, while it is still locked, and closes it. Where an open
// file cannot be deleted it stays, empty.
func (s *store) remove() {
	_ = os.Remove(s.path)
	s.close()
}

// setAside renames the file, while it is still locked if it can be, for a person
// to look at. One is kept. The store is not used again, and not closed by bbolt,
// which might wait for a lock that a panic has left behind.
func (s *store) setAside() (string, error) {
	to := s.path + ".damaged"
	err := os.Rename(s.path, to)
	if s.file != nil {
		_ = s.file.Close()
	}
	if err != nil { // an open file cannot be renamed everywhere
		err = os.Rename(s.path, to)
	}
	return to, err
}

func (s *store) close() { _ = s.db.Close() }
