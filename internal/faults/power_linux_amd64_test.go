// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
)

// disk models what survives a loss of power: what was synced, and any part of what was
// not. Creations, renames and removals survive in the order in which they were made, as
// on a file system with a journal, also if the contents of the files do not.
type disk struct {
	dir    string
	synced map[string][]byte // contents at the last sync; nil if there was none
	dirty  map[string]bool   // files that were written since
}

// newDisk returns a disk with the files below dir, all of them synced.
func newDisk(dir string) (*disk, error) {
	d := &disk{dir, map[string][]byte{}, map[string]bool{}}
	return d, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			d.synced[path], err = os.ReadFile(path)
		}
		return err
	})
}

// made records a call.
func (d *disk) made(c call) {
	switch {
	case c.isWrite(), c.name == "ftruncate":
		d.dirty[c.path] = true
	case c.isSync():
		b, err := os.ReadFile(c.path)
		if err == nil { // a directory has no contents here
			d.synced[c.path], d.dirty[c.path] = b, false
		}
	case c.name == "rename":
		d.forget(c.to)
		move(d.synced, c.path, c.to)
		move(d.dirty, c.path, c.to)
	case c.name == "unlink":
		d.forget(c.path)
	}
}

func (d *disk) forget(path string) {
	delete(d.synced, path)
	delete(d.dirty, path)
}

// move moves the entries of a file, or of all files in a directory.
func move[V any](m map[string]V, from, to string) {
	for path, v := range m {
		if rest, ok := strings.CutPrefix(path, from); ok && (rest == "" || rest[0] == '/') {
			delete(m, path)
			m[to+rest] = v
		}
	}
}

// cut changes the files to what may be left of them.
func (d *disk) cut(r *rand.Rand) error {
	for path, dirty := range d.dirty {
		if !dirty {
			continue
		}
		now, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = os.WriteFile(path, remains(r, d.synced[path], now), 0o600)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// remains returns what may be left of a file: the old contents, the new ones, or the new
// length with some new sectors, where the others are old or zero.
func remains(r *rand.Rand, old, now []byte) []byte {
	const sector = 512
	switch r.IntN(4) {
	case 0:
		return old
	case 1:
		return now
	}
	b := make([]byte, len(now))
	copy(b, old)
	for at := 0; at < len(b); at += sector {
		if r.IntN(2) == 0 {
			copy(b[at:min(at+sector, len(b))], now[at:])
		}
	}
	return b
}
