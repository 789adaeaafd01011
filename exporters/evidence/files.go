// SPDX-License-Identifier: Apache-2.0

package evidence

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/gmpulse/gmpulse/internal/manifest"
)

// open implements Store.Open.
func (s *bundleStore) open(name string) (fs.File, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	s.mu.Lock()
	inRAM := s.inRAM
	files := s.memory.files
	s.mu.Unlock()
	if inRAM {
		return files.Open(name)
	}
	if id, _, _ := strings.Cut(name, "/"); id != "." && !s.isBundle(id) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	f, err := os.DirFS(s.config.Dir).Open(name)
	if dir, ok := f.(fs.ReadDirFile); ok && name == "." {
		return &bundles{dir, s}, err
	}
	return f, err
}

// isBundle reports whether id is the ID of a complete bundle. Open must not return other files of
// the directory, because they may be secret.
func (s *bundleStore) isBundle(id string) bool {
	if !isID(id) {
		return false
	}
	_, err := os.Stat(filepath.Join(s.config.Dir, id, manifest.Name))
	return err == nil
}

// bundles is the directory with only its bundles.
type bundles struct {
	fs.ReadDirFile
	store *bundleStore
}

// ReadDir may return fewer than n entries before the end, but at least one.
func (b *bundles) ReadDir(n int) (kept []fs.DirEntry, err error) {
	for {
		all, err := b.ReadDirFile.ReadDir(n)
		for _, e := range all {
			if e.IsDir() && b.store.isBundle(e.Name()) {
				kept = append(kept, e)
			}
		}
		if n <= 0 || err != nil || len(kept) > 0 {
			return kept, err
		}
	}
}

var _ fs.FS = (*Store)(nil)

// Open implements [fs.FS]. It opens a file of a bundle by "ID/NAME", the directory of a bundle by
// "ID", and the directory of all bundles by ".".
func (s *Store) Open(name string) (fs.File, error) { return s.bundles.open(name) }
