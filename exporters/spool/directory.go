// SPDX-License-Identifier: Apache-2.0

package spool

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

const (
	maxProcesses = 16 // that share one directory
	adoptBatch   = 256
	// openAttempts is how often a store is opened that cannot be read, before it is set aside.
	openAttempts = 4
)

// open opens the first store of the directory that no other process uses, moves the
// contents of abandoned ones into it, and passes everything to the backlog.
func (w *diskWriter) open() bool {
	err := recoverPanic(func() error {
		if err := os.MkdirAll(w.config.Dir, 0o700); err != nil {
			return err
		}
		if err := w.openFirst(); err != nil {
			return err
		}
		return w.load()
	})
	switch {
	case err == nil:
		w.attempts = 0
		w.succeed()
		return true
	case w.store == nil:
	case errors.Is(err, errDamaged):
		w.setAside(w.store, err)
	default:
		w.store.close()
	}
	w.store = nil
	w.attempts++
	w.retryLater(err)
	return false
}

// path returns the file name of the n-th store.
func (w *diskWriter) path(n int) string {
	name := w.config.Name + ".db"
	if n > 1 {
		name = w.config.Name + "." + strconv.Itoa(n) + ".db"
	}
	return filepath.Join(w.config.Dir, name)
}

func (w *diskWriter) openFirst() error {
	for n := 1; n <= maxProcesses; n++ {
		s, err := w.openStore(n)
		switch {
		case errors.Is(err, errLocked):
		case errors.Is(err, errForeign):
			w.config.Logger.Error("gmpulse: spool does not use a file that another user may have created", slog.String("file", s.path), slog.Any("error", err))
		case err != nil:
			return err
		default:
			w.store = s
			return nil
		}
	}
	return fmt.Errorf("%d processes use %s already, which is the maximum; give each its own directory", maxProcesses, w.config.Dir)
}

// lastAttempt reports whether a store that cannot be read now is set aside.
func (w *diskWriter) lastAttempt() bool { return w.attempts+1 >= openAttempts }

// openStore opens the n-th store. It sets a damaged one aside and creates a new one.
func (w *diskWriter) openStore(n int) (*store, error) {
	s := &store{path: w.path(n), giveUp: w.lastAttempt()}
	err := recoverPanic(s.open)
	if !errors.Is(err, errDamaged) {
		return s, err
	}
	if unread := s.unread(); unread != nil && !s.giveUp {
		return s, unread
	}
	w.setAside(s, err)
	s = &store{path: w.path(n)}
	return s, recoverPanic(s.open)
}

// load passes the contents of the store to the backlog.
func (w *diskWriter) load() error {
	w.adopt()
	c, err := w.store.load(time.Now(), w.config.MaxAge)
	if err != nil {
		return err
	}
	w.logKept(w.store)
	w.logLost(w.store, c)
	w.backlog.recover(c)
	if n := len(c.entries); n > 0 {
		w.config.Logger.Info("gmpulse: spool recovered snapshots of an earlier process", slog.Int("snapshots", n))
	}
	return nil
}

// logKept logs how many records only a newer version can read.
func (w *diskWriter) logKept(s *store) {
	if s.kept > 0 {
		w.config.Logger.Warn("gmpulse: spool has records that a newer version wrote; this version keeps them and does not deliver them",
			slog.String("file", s.path), slog.Int("snapshots", s.kept), slog.Duration("for", w.config.MaxAge))
	}
}

// logLost logs how many records of an earlier process cannot be delivered.
func (w *diskWriter) logLost(s *store, c *contents) {
	if c.lost() > 0 {
		w.config.Logger.Error("gmpulse: spool has lost snapshots of an earlier process, because the disk has damaged or lost them",
			slog.String("file", s.path), slog.Int("damaged", len(c.unreadable)), slog.Uint64("lost", c.missing))
	}
}

// adopt moves the contents of stores that no process uses into the open one.
func (w *diskWriter) adopt() {
	for n := 1; n <= maxProcesses; n++ {
		path := w.path(n)
		if path == w.store.path {
			continue
		}
		if _, err := os.Lstat(path); err != nil {
			continue // does not exist
		}
		s, err := w.openStore(n)
		if err == nil {
			err = recoverPanic(func() error { return w.move(s) })
		}
		if err != nil && !errors.Is(err, errLocked) {
			w.config.Logger.Warn("gmpulse: spool cannot take over the store of another process", slog.String("file", path), slog.Any("error", err))
		}
	}
}

// move copies the records of a store into the open one, then removes it. A crash in
// between makes duplicates and loses nothing. Records of a newer version stay.
func (w *diskWriter) move(from *store) error {
	c, err := from.load(time.Now(), w.config.MaxAge)
	if err == nil {
		w.logLost(from, c)
		w.backlog.recoverLost(c.lost())
	}
	for err == nil && len(c.entries) > 0 {
		n := min(len(c.entries), adoptBatch)
		keys := make([]uint64, n)
		for i, e := range c.entries[:n] {
			keys[i] = e.key
		}
		var values [][]byte
		if values, err = from.read(keys); err == nil {
			_, err = w.store.commit(change{put: values, schemas: c.schemas})
		}
		if err == nil && from.kept > 0 { // otherwise the whole file is removed below
			_, err = from.commit(change{remove: keys})
		}
		c.entries = c.entries[n:]
	}
	if err != nil || from.kept > 0 {
		w.logKept(from)
		from.close()
		return err
	}
	from.remove()
	return nil
}
