// SPDX-License-Identifier: Apache-2.0

package profiler

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gmpulse/gmpulse/internal/disk"
)

const (
	directoryPrefix = "profiles-"
	fileSuffix      = ".pb.gz"
	// abandonedAfter is the age of the last profile in a directory whose process has died.
	abandonedAfter = 2 * maxEvery
)

// directory has the files of the profiles of this process. Other processes have other directories
// in the same parent. Only one goroutine uses it at a time, except for reading its files.
type directory struct {
	parent string
	path   string
	ready  bool
	files  int // written, for unique names
}

func newDirectory(parent string) *directory {
	var random [4]byte
	_, _ = rand.Read(random[:]) // never fails
	return &directory{parent: parent, path: filepath.Join(parent, directoryPrefix+hex.EncodeToString(random[:]))}
}

// write writes the file of a profile, which only the user may read. There is no temporary file, because
// no file is read before write returns.
func (d *directory) write(x *Profile, data []byte) (name string, err error) {
	if !d.ready {
		if err := os.MkdirAll(d.path, 0o700); err != nil {
			return "", err
		}
		d.ready = true
		d.removeAbandoned()
	}
	if err := disk.Fits(d.path, int64(len(data)), disk.MinFree); err != nil {
		return "", err
	}
	d.files++
	name = filepath.Join(d.path, fmt.Sprintf("%s-%s-%d%s", x.To.UTC().Format("20060102T150405.000Z"), x.Kind, d.files, fileSuffix))
	if err := disk.WriteNew(name, data, false); err != nil {
		_ = os.Remove(name) // it may be incomplete
		d.ready = false     // the directory may be gone
		return "", err
	}
	return name, nil
}

// removeAbandoned removes the directories of processes that have died.
func (d *directory) removeAbandoned() {
	entries, err := os.ReadDir(d.parent)
	if err != nil {
		return
	}
	for _, e := range entries {
		random, found := strings.CutPrefix(e.Name(), directoryPrefix)
		if _, err := hex.DecodeString(random); !found || err != nil || len(random) != 8 || !e.IsDir() {
			continue // of another program
		}
		path := filepath.Join(d.parent, e.Name())
		if info, err := e.Info(); err == nil && path != d.path && time.Since(info.ModTime()) > abandonedAfter {
			removeDirectory(path)
		}
	}
}

// remove removes the directory.
func (d *directory) remove() {
	if d.ready {
		removeDirectory(d.path)
	}
}

// removeDirectory removes the profiles in a directory, and the directory unless it has other files.
func removeDirectory(path string) {
	entries, err := os.ReadDir(path)
	if err != nil {
		return
	}
	for _, e := range entries {
		if e.Type().IsRegular() && strings.HasSuffix(e.Name(), fileSuffix) {
			_ = os.Remove(filepath.Join(path, e.Name()))
		}
	}
	_ = os.Remove(path)
}
