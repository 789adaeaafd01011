// SPDX-License-Identifier: Apache-2.0

package evidence

import (
	"archive/zip"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/gmpulse/gmpulse/internal/disk"
	"github.com/gmpulse/gmpulse/internal/manifest"
)

const (
	temporary = ".tmp-"
	// abandonedAfter is the age at which a temporary or damaged directory is removed. The
	// process that created it has probably died.
	abandonedAfter = time.Hour
)

// bundleStore stores bundles on disk or, if that is not possible, the last ones in memory.
type bundleStore struct {
	config Config

	mu     sync.Mutex
	memory memory
	inRAM  bool // the last bundle is in memory, so Open opens files there
	full   bool // the last prune has failed
}

func newBundleStore(c Config) bundleStore {
	return bundleStore{config: c, inRAM: c.Dir == "", memory: memory{files: new(zip.Reader)}}
}

// ready returns an error if the disk has too little space for a bundle.
func (s *bundleStore) ready() error {
	if s.config.Dir == "" {
		return nil
	}
	if err := os.MkdirAll(s.config.Dir, 0o700); err != nil {
		s.toMemory(err)
		return nil
	}
	return disk.Fits(s.config.Dir, s.config.MaxBundle, s.config.MinFree)
}

// maxSize returns the maximum size of a bundle.
func (s *bundleStore) maxSize() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inRAM {
		return min(s.config.MaxBundle, maxInMemory)
	}
	return s.config.MaxBundle
}

// put stores a bundle on disk or, if that fails, in memory.
func (s *bundleStore) put(b *bundle) error {
	text, err := json.MarshalIndent(&b.manifest, "", "  ")
	if err != nil {
		return err
	}
	b.files = append(b.files, content{manifest.Name, text})
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

// toMemory makes Open use memory, and logs that once.
func (s *bundleStore) toMemory(why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.inRAM {
		s.inRAM = true
		s.config.Logger.Warn("gmpulse: bundles of evidence are kept in memory, because the directory is not writable", slog.String("dir", s.config.Dir), slog.Any("error", why))
	}
}

// write writes the directory of a bundle. The directory gets its final name when its files are
// complete and on disk: after a power failure there is no bundle with empty files.
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
		if err := disk.WriteNew(filepath.Join(dir, c.name), c.bytes, true); err != nil {
			return err
		}
	}
	return os.Rename(dir, filepath.Join(s.config.Dir, b.manifest.ID))
}

// location returns where a bundle is, for log lines.
func (s *bundleStore) location(id string) string {
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

// makeRoom removes old bundles. It only logs an error, and only the first of a series, because
// the new bundle is stored already.
func (s *bundleStore) makeRoom(newest string) {
	err := s.prune(newest)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil && !s.full {
		s.config.Logger.Warn("gmpulse: old bundles of evidence cannot be removed", slog.String("dir", s.config.Dir), slog.Any("error", err))
	}
	s.full = err != nil
}

// prune removes bundles until the rest fits into MaxBytes: the oldest first, the first bundle of
// each incident after all others, and never the newest bundle. It skips bundles that cannot be
// removed.
func (s *bundleStore) prune(newest string) error {
	all, total, err := s.list()
	if err != nil {
		return err
	}
	sort.SliceStable(all, func(i, j int) bool { return !all[i].first && all[j].first })
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

// list returns the bundles on disk, oldest first, and their total size. It removes directories
// that dead processes have left.
func (s *bundleStore) list() (all []stored, total int64, err error) {
	entries, err := os.ReadDir(s.config.Dir)
	if err != nil {
		return nil, 0, err
	}
	for _, e := range entries { // sorted by name and therefore by time
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
			s.removeAbandoned(e) // its manifest was damaged by a crash of the machine
		}
	}
	return all, total, nil
}

// stored returns the bundle with an ID. A directory without a valid manifest is not a bundle: it
// may belong to another program.
func (s *bundleStore) stored(id string) (b stored, ok bool) {
	dir := filepath.Join(s.config.Dir, id)
	m, err := manifest.Read(os.DirFS(dir))
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
	if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > abandonedAfter {
		_ = os.RemoveAll(filepath.Join(s.config.Dir, e.Name())) // retried after the next bundle
	}
}
