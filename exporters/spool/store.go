// SPDX-License-Identifier: Apache-2.0

package spool

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/gmpulse/gmpulse/internal/codec"
)

// The diskWriter handles each of these errors in its own way.
var (
	errLocked  = errors.New("another process uses the store")
	errDamaged = errors.New("the store is damaged")
	errForeign = errors.New("the file may not be this user's and is not touched")
)

// store is one bbolt file with two buckets: records by number and schemas by id. The
// sequence of the first bucket is the number of records: if the disk loses a page although
// it confirmed it, the old contents of the page may look valid, but have fewer records. Only
// one goroutine may use it. That goroutine must recover panics, see [diskWriter]: bbolt
// maps the file into memory and panics on contents that it cannot interpret.
type store struct {
	path string
	db   *bolt.DB
	file *os.File // the open file of db, which holds the lock
	next uint64   // key of the next record
	kept int      // records that only a newer version can read
	// giveUp makes open treat a file that cannot be read as a damaged one.
	giveUp bool
}

// change is one transaction.
type change struct {
	put     [][]byte                  // records; commit assigns keys and checksums
	schemas map[codec.SchemaID][]byte // of the records, and maybe more
	remove  []uint64
}

func recordsBucket() []byte { return []byte("records") }
func schemasBucket() []byte { return []byte("schemas") }

// growth is the step by which a file larger than this grows.
const growth = 1 << 20

// open opens or creates the file. The error wraps errLocked, errDamaged, errForeign or an
// error of the operating system. A damaged file stays locked, for setAside.
func (s *store) open() error {
	for {
		var err error
		s.db, err = bolt.Open(s.path, 0o600, &bolt.Options{
			Timeout:  time.Millisecond, // a single attempt to lock it
			OpenFile: s.openFile,
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
		// The process that had the lock removed the file after it was opened here.
		s.close()
	}
}

// openFile opens the file for bbolt.
func (s *store) openFile(path string, flag int, mode os.FileMode) (*os.File, error) {
	f, err := os.OpenFile(path, flag|openFlags, mode)
	if err != nil {
		return nil, err
	}
	if err := checkOwner(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	s.file = f
	return f, nil
}

// current reports whether the open file is the one at the path.
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

// check checks the structure of the file and creates the buckets.
func (s *store) check() error {
	if err := checkPages(s.db, s.file); err != nil {
		if isOfSystem(err) && !s.giveUp {
			return err
		}
		return fmt.Errorf("%w: %w", errDamaged, err)
	}
	return s.db.Update(func(tx *bolt.Tx) error {
		_, err1 := tx.CreateBucketIfNotExists(recordsBucket())
		_, err2 := tx.CreateBucketIfNotExists(schemasBucket())
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
		s.next = 1 // 0 means no key
		if k, _ := tx.Bucket(recordsBucket()).Cursor().Last(); len(k) == 8 {
			s.next = binary.BigEndian.Uint64(k) + 1
		}
		return nil
	})
}

// classify wraps an error of bolt.Open in errLocked, errForeign or errDamaged, unless it
// is one of the operating system.
func classify(err error) error {
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return errLocked
	case errors.Is(err, errForeign):
		return err
	case errors.Is(err, syscall.ELOOP): // because of O_NOFOLLOW
		return fmt.Errorf("%w: a symbolic link: %w", errForeign, err)
	case isOfSystem(err):
		return err
	default:
		return fmt.Errorf("%w: %w", errDamaged, err)
	}
}

// isOfSystem reports whether err is one of the operating system, which may pass.
func isOfSystem(err error) bool {
	var path *fs.PathError
	var errno syscall.Errno
	return errors.As(err, &path) || errors.As(err, &errno)
}

// putSchemas writes the schemas that the bucket does not have.
func putSchemas(bucket *bolt.Bucket, schemas map[codec.SchemaID][]byte) (err error) {
	for id, schema := range schemas {
		if k := keyBytes(uint64(id)); !bytes.Equal(bucket.Get(k), schema) {
			err = errors.Join(err, bucket.Put(k, schema))
		}
	}
	return err
}

// commit applies a change as a whole. It returns the key of the first record put.
func (s *store) commit(c change) (first uint64, err error) {
	first = s.next
	err = s.db.Update(func(tx *bolt.Tx) error {
		records, schemas := tx.Bucket(recordsBucket()), tx.Bucket(schemasBucket())
		records.FillPercent = 1 // keys are ascending
		var errs []error
		count := records.Sequence() // not s.records: a change that failed may be on disk
		for _, key := range c.remove {
			if k := keyBytes(key); records.Get(k) != nil {
				count = max(count, 1) - 1
				errs = append(errs, records.Delete(k))
			}
		}
		errs = append(errs, putSchemas(schemas, c.schemas))
		for i, v := range c.put {
			key := first + uint64(i)
			if records.Get(keyBytes(key)) == nil {
				count++
			}
			setChecksum(key, v)
			errs = append(errs, records.Put(keyBytes(key), v))
		}
		return errors.Join(append(errs, records.SetSequence(count))...)
	})
	if err != nil {
		return 0, err
	}
	s.next += uint64(len(c.put))
	return first, nil
}

// read returns the records of keys, with nil for a missing or damaged one.
func (s *store) read(keys []uint64) ([][]byte, error) {
	values := make([][]byte, len(keys))
	err := s.db.View(func(tx *bolt.Tx) error {
		for i, key := range keys {
			if v := tx.Bucket(recordsBucket()).Get(keyBytes(key)); intact(key, v) {
				values[i] = append([]byte(nil), v...)
			}
		}
		return nil
	})
	return values, err
}

// unread returns the error of reading the file of a store that seems damaged: bbolt reports
// a disk that cannot be read as an invalid file. After an error the store must not be used.
func (s *store) unread() error {
	f, err := os.Open(s.path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // it was only read
	if _, err = io.Copy(io.Discard, f); err != nil && s.file != nil {
		_ = s.file.Close()
	}
	return err
}

// remove deletes the file while it is locked and closes it. Where the operating system
// does not delete open files, an empty store stays.
func (s *store) remove() {
	_ = os.Remove(s.path)
	s.close()
}

// setAside renames the file for a person to examine, if possible while it is locked. An
// earlier one is replaced. The store must not be used again. bbolt does not close it: it
// might wait for a lock that a panic has left behind.
func (s *store) setAside() (string, error) {
	to := s.path + ".damaged"
	err := os.Rename(s.path, to)
	if s.file != nil {
		_ = s.file.Close()
	}
	if err != nil { // some operating systems do not rename open files
		err = os.Rename(s.path, to)
	}
	return to, err
}

func (s *store) close() { _ = s.db.Close() }
