// SPDX-License-Identifier: Apache-2.0

package evidence

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"time"
)

const (
	temporary = ".tmp-"
	// A temporary or damaged directory that is older was left behind by a process that died.
	abandoned = time.Hour
)

// bundleStore holds the bundles: on disk, or the last ones in memory.
type bundleStore struct {
	config Config
	logger *slog.Logger

	mu     sync.Mutex
	memory memory
	inRAM  bool // the last bundle is in memory, and so is what Open shows
	full   bool // what should have gone could not be removed: said already
}

func newBundleStore(c Config) bundleStore {
	return bundleStore{config: c, logger: c.Logger, inRAM: c.Dir == ""}
}

// ready returns an error if no bundle must be written to disk now.
func (s *bundleStore) ready() error {
	if s.config.Dir == "" {
		return nil
	}
	if err := os.MkdirAll(s.config.Dir, 0o700); err != nil {
		s.toMemory(err)
		return nil
	}
	free, whole, err := diskSpace(s.config.Dir)
	if err != nil || whole == 0 {
		return nil //nolint:nilerr // where the system does not tell, writing will
	}
	const part = 20
	if least := max(s.config.MinFree, whole/part); free-least < s.config.MaxBundle {
		return fmt.Errorf("the disk is short: %d bytes are free in %s, %d stay free", free, s.config.Dir, least)
	}
	return nil
}

// most is how large a bundle may be.
func (s *bundleStore) most() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inRAM {
		return min(s.config.MaxBundle, maxInMemory)
	}
	return s.config.MaxBundle
}

// put puts a bundle on disk, or in memory if that does not work.
func (s *bundleStore) put(b *bundle) error {
	text, err := json.MarshalIndent(&b.manifest, "", "  ")
	if err != nil {
		return err
	}
	b.files = append(b.files, content{ManifestFile, text})
	if s.config.Dir != "" {
		if err = s.write(b); err == nil {
			s.mu.Lock()
			s.inRAM = false
			s.mu.Unlock()
			s.makeRoom(b.manifest.ID)
			return nil
		}
		s.toMemory(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.memory.put(b)
}

// toMemory says once that the disk does not work.
func (s *bundleStore) toMemory(why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.inRAM {
		s.inRAM = true
		s.logger.Warn("gmpulse: evidence is kept in memory, the directory cannot be written to", slog.String("dir", s.config.Dir), slog.Any("error", why))
	}
}

// write makes the directory of a bundle: whole, or not at all.
func (s *bundleStore) write(b *bundle) (err error) {
	dir := filepath.Join(s.config.Dir, temporary+b.manifest.ID)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	for _, c := range b.files {
		if err := os.WriteFile(filepath.Join(dir, c.name), c.bytes, 0o600); err != nil {
			return err
		}
	}
	return os.Rename(dir, filepath.Join(s.config.Dir, b.manifest.ID))
}

// place tells people where a bundle is.
func (s *bundleStore) place(id string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inRAM {
		return id + " (in memory)"
	}
	return filepath.Join(s.config.Dir, id)
}

// stored is one bundle on disk.
type stored struct {
	id    string
	size  int64
	first bool
}

// makeRoom prunes, and says once when that fails: the new bundle is there all the same.
func (s *bundleStore) makeRoom(newest string) {
	err := s.prune(newest)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil && !s.full {
		s.logger.Warn("gmpulse: old evidence cannot be removed", slog.String("dir", s.config.Dir), slog.Any("error", err))
	}
	s.full = err != nil
}

// prune removes the oldest bundles until the rest fits, the first of an incident
// last of all and the newest never, and what dead processes left behind. What cannot
// be removed stays, and others go in its place.
func (s *bundleStore) prune(newest string) error {
	all, total, err := s.list()
	if err != nil {
		return err
	}
	sort.SliceStable(all, func(i, j int) bool { return !all[i].first && all[j].first }) // those to go first, first
	var errs []error
	for _, b := range all {
		if total <= s.config.MaxBytes {
			break
		}
		if b.id == newest {
			continue
		}
		if err := os.RemoveAll(filepath.Join(s.config.Dir, b.id)); err != nil {
			errs = append(errs, err)
			continue
		}
		total -= b.size
	}
	return errors.Join(errs...)
}

// list returns the bundles on disk, oldest first, and their size, and removes what
// dead processes left behind.
func (s *bundleStore) list() (all []stored, total int64, err error) {
	entries, err := os.ReadDir(s.config.Dir)
	if err != nil {
		return nil, 0, err
	}
	for _, e := range entries { // sorted by name, so by time
		if !e.IsDir() {
			continue
		}
		if strings.HasPrefix(e.Name(), temporary) {
			s.removeAbandoned(e)
			continue
		}
		if b, ok := s.stored(e.Name()); ok {
			all = append(all, b)
			total += b.size
		} else if s.isBundle(e.Name()) {
			s.removeAbandoned(e) // its manifest did not survive a crash of the machine
		}
	}
	return all, total, nil
}

// stored measures a bundle. A directory without a manifest belongs to another program and
// is not removed.
func (s *bundleStore) stored(id string) (b stored, ok bool) {
	dir := filepath.Join(s.config.Dir, id)
	m, err := ReadManifest(os.DirFS(dir))
	if err != nil || m.ID != id {
		return b, false
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return b, false
	}
	b = stored{id: id, first: m.First}
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			b.size += info.Size()
		}
	}
	return b, true
}

func (s *bundleStore) removeAbandoned(e fs.DirEntry) {
	if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > abandoned {
		_ = os.RemoveAll(filepath.Join(s.config.Dir, e.Name())) // again next time
	}
}
