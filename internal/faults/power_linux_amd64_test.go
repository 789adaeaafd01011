// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"errors"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// disk models what survives a loss of power: what was synced, and any part of what was
// not. A sync also makes all earlier creations, renames and removals permanent, as on a
// file system with a journal. Of the later ones the first survive, any number of them.
type disk struct {
	dir    string
	synced map[string][]byte // contents at the last sync; nil if there was none
	dirty  map[string]bool   // files that were written since
	undo   []func() error    // reverts each creation, rename and removal since the last sync
	before *entry            // what the call under way replaces or removes
}

// entry is a file or a directory.
type entry struct {
	path      string
	bytes     []byte
	there     bool
	directory bool
}

func readEntry(path string) *entry {
	info, err := os.Lstat(path)
	if err != nil {
		return &entry{path: path}
	}
	b, _ := os.ReadFile(path)
	return &entry{path, b, true, info.IsDir()}
}

// restore creates the entry again if it was there.
func (e *entry) restore() error {
	switch {
	case !e.there:
		return nil
	case e.directory:
		return os.Mkdir(e.path, 0o700)
	}
	return os.WriteFile(e.path, e.bytes, 0o600)
}

// newDisk returns a disk with the files below dir, all of them synced.
func newDisk(dir string) (*disk, error) {
	d := &disk{dir: dir, synced: map[string][]byte{}, dirty: map[string]bool{}}
	return d, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			d.synced[path], err = os.ReadFile(path)
		}
		return err
	})
}

// making records what a call is about to replace or remove.
func (d *disk) making(c call) {
	switch c.name {
	case "create", "unlink":
		d.before = readEntry(c.path)
	case "rename":
		d.before = readEntry(c.to)
	}
}

// made records a call that succeeded.
func (d *disk) made(c call) {
	before := d.before
	switch {
	case c.isWrite(), c.name == "ftruncate":
		d.dirty[c.path] = true
	case c.isSync():
		b, err := os.ReadFile(c.path)
		if err == nil { // a directory has no contents here
			d.synced[c.path], d.dirty[c.path] = b, false
		}
		d.undo = nil
	case c.name == "create" && before.there:
	case c.name == "create", c.name == "mkdir":
		d.undo = append(d.undo, func() error { return os.RemoveAll(c.path) })
	case c.name == "rename":
		d.forget(c.to)
		move(d.synced, c.path, c.to)
		move(d.dirty, c.path, c.to)
		d.undo = append(d.undo, func() error { return errors.Join(os.Rename(c.to, c.path), before.restore()) })
	case c.name == "unlink":
		if before.there && d.dirty[c.path] {
			before.bytes = d.synced[c.path]
		}
		d.forget(c.path)
		d.undo = append(d.undo, before.restore)
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
	for _, path := range slices.Sorted(maps.Keys(d.dirty)) { // in the same order in each run
		if !d.dirty[path] {
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
	for i, keep := len(d.undo)-1, r.IntN(len(d.undo)+1); i >= keep; i-- {
		if err := d.undo[i](); err != nil {
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
