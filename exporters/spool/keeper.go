// SPDX-License-Identifier: Apache-2.0

package spool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"runtime/pprof"
	"strconv"
	"time"

	"github.com/gmpulse/gmpulse/runtimeinfo"
)

const (
	// grace is how long a record may stay in memory while the backend is well: it
	// is mostly delivered by then, and the disk is left in peace.
	grace = 20 * time.Millisecond
	// tidyAfter and tidyMost bound how long, and how many, delivered records stay
	// in the store: after a crash they are sent again.
	tidyAfter = time.Second
	tidyMost  = 16

	minRetry = time.Second
	maxRetry = 30 * time.Second

	maxProcesses = 16 // that share one directory
	adoptAtOnce  = 256
)

// keeper mirrors the backlog on disk. It alone touches the store, from a
// goroutine on which a fault in mapped memory, as a file that somebody cut makes
// one, is a panic and not the end of the process.
type keeper struct {
	config  Config
	backlog *backlog
	wake    chan struct{} // capacity 1: there is something to keep
	reads   chan readRequest
	stop    chan struct{} // closed: keep all that there is, and end
	ready   chan struct{} // closed when the store was opened, or could not be
	done    chan struct{}

	store   *store // nil: not open
	retryAt time.Time
	retry   time.Duration
	tidied  time.Time
}

// readRequest asks for the bodies of entries that are on disk only.
type readRequest struct {
	entries []*entry
	done    chan struct{}
}

func newKeeper(c Config, b *backlog) *keeper {
	return &keeper{
		config: c, backlog: b,
		wake:  make(chan struct{}, 1),
		reads: make(chan readRequest),
		stop:  make(chan struct{}),
		ready: make(chan struct{}),
		done:  make(chan struct{}),
	}
}

func (k *keeper) run() {
	defer close(k.done)
	debug.SetPanicOnFault(true)
	pprof.Do(context.Background(), pprof.Labels(profilerLabel, "spool"), func(context.Context) { k.keep() })
}

func (k *keeper) keep() {
	k.open()
	close(k.ready)
	next := time.NewTimer(0)
	defer next.Stop()
	for {
		select {
		case r := <-k.reads:
			k.read(r.entries)
			close(r.done)
			continue
		case <-k.wake:
		case <-next.C:
		case <-k.stop:
			k.finish()
			return
		}
		next.Reset(k.work())
	}
}

// work does what is due and returns when to look again.
func (k *keeper) work() time.Duration {
	if wait := time.Until(k.retryAt); wait > 0 {
		return wait
	}
	if k.store == nil && !k.open() {
		return k.retry
	}
	due, wait := k.backlog.due(time.Since(k.tidied))
	if due == nil {
		return wait
	}
	k.commit(due)
	return 0
}

// commit writes what is due, or fails and says when to try again.
func (k *keeper) commit(due *due) {
	c := change{remove: due.garbage, schemas: map[runtimeinfo.SchemaID][]byte{}}
	for i, e := range due.entries {
		c.put = append(c.put, compose(e, due.bodies[i]))
		if !k.store.schemas[e.schema] {
			c.schemas[e.schema] = due.schemas[e.schema]
		}
	}
	var first uint64
	err := k.guarded(func() (err error) {
		first, err = k.store.commit(c)
		return err
	})
	if err != nil {
		k.failed(err, due)
		return
	}
	k.tidied = time.Now()
	k.backlog.saved(due, first)
	k.works()
}

// guarded turns a panic of bbolt, or a fault in the memory that it maps, into a
// damaged store.
func (k *keeper) guarded(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", errDamaged, p)
		}
	}()
	return f()
}

// failed goes on in memory, and with another store if this one is damaged.
func (k *keeper) failed(err error, due *due) {
	k.backlog.notSaved(due)
	if errors.Is(err, errDamaged) {
		k.setAside(k.store, err)
		k.store = nil
		k.backlog.lose()
		return
	}
	k.trouble(err)
}

// trouble notes that the disk cannot be used for now; the first time says so.
func (k *keeper) trouble(err error) {
	k.retry = min(max(2*k.retry, minRetry), maxRetry)
	k.retryAt = time.Now().Add(k.retry)
	if k.backlog.setDisk(false, err.Error()) {
		k.config.Logger.Warn("gmpulse: spool keeps records in memory only, until the disk works again",
			slog.String("directory", k.config.Dir), slog.Any("error", err))
	}
}

func (k *keeper) works() {
	k.retry, k.retryAt = 0, time.Time{}
	if k.backlog.setDisk(true, "") {
		k.config.Logger.Info("gmpulse: spool is on disk again", slog.String("directory", k.config.Dir))
	}
}

func (k *keeper) setAside(s *store, why error) {
	to, err := s.setAside()
	if err != nil {
		k.config.Logger.Error("gmpulse: damaged spool cannot be set aside", slog.String("file", s.path), slog.Any("damage", why), slog.Any("error", err))
		return
	}
	k.config.Logger.Error("gmpulse: damaged spool set aside", slog.String("file", to), slog.Any("error", why))
}

// open opens the first store that no other process uses, takes over what other
// processes have left, and hands all of it to the backlog.
func (k *keeper) open() bool {
	err := k.guarded(func() error {
		if err := os.MkdirAll(k.config.Dir, 0o700); err != nil {
			return err
		}
		return k.openFirst()
	})
	if err == nil {
		err = k.guarded(k.recover)
	}
	if err == nil {
		k.works()
		return true
	}
	switch {
	case k.store == nil:
	case errors.Is(err, errDamaged):
		k.setAside(k.store, err)
	default:
		k.store.close()
	}
	k.store = nil
	k.trouble(err)
	return false
}

// path is that of the n-th store of the directory.
func (k *keeper) path(n int) string {
	name := k.config.Name + ".db"
	if n > 1 {
		name = k.config.Name + "." + strconv.Itoa(n) + ".db"
	}
	return filepath.Join(k.config.Dir, name)
}

func (k *keeper) openFirst() error {
	for n := 1; n <= maxProcesses; n++ {
		s, err := k.try(n)
		switch {
		case errors.Is(err, errLocked):
		case errors.Is(err, errForeign):
			k.config.Logger.Error("gmpulse: spool does not use a file that others may have made", slog.String("file", s.path), slog.Any("error", err))
		case err != nil:
			return err
		default:
			k.store = s
			return nil
		}
	}
	return fmt.Errorf("%d processes use %s already, the most there may be; give each its own directory", maxProcesses, k.config.Dir)
}

// try opens the n-th store. A damaged one is set aside and made anew.
func (k *keeper) try(n int) (*store, error) {
	for again := false; ; again = true {
		s := newStore(k.path(n))
		err := k.guarded(s.open)
		if again || !errors.Is(err, errDamaged) {
			return s, err
		}
		k.setAside(s, err)
	}
}

// recover reads the store.
func (k *keeper) recover() error {
	k.adopt()
	c, err := k.store.load(time.Now(), k.config.MaxAge)
	if err != nil {
		return err
	}
	k.tellKept(k.store)
	k.backlog.recover(c)
	if n := len(c.entries); n > 0 {
		k.config.Logger.Info("gmpulse: spool goes on with what an earlier process left", slog.Int("snapshots", n))
	}
	return nil
}

// tellKept tells of records that this version cannot read: after a rollback there are
// some. They are kept until MaxAge, for the version that wrote them.
func (k *keeper) tellKept(s *store) {
	if s.kept > 0 {
		k.config.Logger.Warn("gmpulse: spool has records that a newer version wrote; they are kept for it and not delivered by this one",
			slog.String("file", s.path), slog.Int("snapshots", s.kept), slog.Duration("for", k.config.MaxAge))
	}
}

// adopt moves what processes that are gone have left in other stores of the
// directory into this one.
func (k *keeper) adopt() {
	for n := 1; n <= maxProcesses; n++ {
		path := k.path(n)
		if path == k.store.path {
			continue
		}
		if _, err := os.Lstat(path); err != nil {
			continue // there is none
		}
		s, err := k.try(n)
		if err == nil {
			err = k.guarded(func() error { return k.move(s) })
		}
		if err != nil && !errors.Is(err, errLocked) {
			k.config.Logger.Warn("gmpulse: spool of another process cannot be taken over", slog.String("file", path), slog.Any("error", err))
		}
	}
}

// move copies a store into this one, then removes it. A crash between the two
// makes duplicates, never a loss.
func (k *keeper) move(from *store) error {
	c, err := from.load(time.Now(), k.config.MaxAge)
	for err == nil && len(c.entries) > 0 {
		n := min(len(c.entries), adoptAtOnce)
		keys := make([]uint64, n)
		for i, e := range c.entries[:n] {
			keys[i] = e.key
		}
		var values [][]byte
		if values, err = from.read(keys); err == nil {
			_, err = k.store.commit(change{put: values, schemas: c.schemas})
		}
		if err == nil && from.kept > 0 { // else the file goes as a whole
			_, err = from.commit(change{remove: keys})
		}
		c.entries = c.entries[n:]
	}
	if err != nil || from.kept > 0 {
		k.tellKept(from)
		from.close()
		return err
	}
	from.remove()
	return nil
}

// read fills in the bodies of entries; those that cannot be read stay without.
func (k *keeper) read(entries []*entry) {
	if k.store == nil {
		return
	}
	keys := k.backlog.keys(entries)
	var values [][]byte
	err := k.guarded(func() (err error) {
		values, err = k.store.read(keys)
		return err
	})
	if err != nil {
		k.failed(err, nil)
		return
	}
	for i, v := range values {
		if v != nil {
			k.backlog.fill(entries[i], v[headSize:])
		}
	}
}

// fetch has the keeper read bodies, from another goroutine.
func (k *keeper) fetch(ctx context.Context, entries []*entry) {
	r := readRequest{entries: entries, done: make(chan struct{})}
	select {
	case k.reads <- r:
	case <-k.done:
		return
	case <-ctx.Done():
		return
	}
	select {
	case <-r.done:
	case <-ctx.Done():
	}
}

// finish keeps all that there is, once, and closes the store. One that holds
// nothing is removed.
func (k *keeper) finish() {
	if k.store == nil && !k.open() {
		return
	}
	if due := k.backlog.all(); due != nil {
		k.commit(due)
	}
	switch {
	case k.store == nil: // found damaged just now
	case k.backlog.empty() && k.store.kept == 0:
		k.store.remove()
	default:
		k.store.close()
	}
}

func (k *keeper) signal() {
	select {
	case k.wake <- struct{}{}:
	default: // it has not seen the last one yet
	}
}
