// SPDX-License-Identifier: Apache-2.0

package baseline

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gmpulse/gmpulse/internal/disk"
)

// replaceFile atomically replaces a regular file, or creates it. A process that is killed
// leaves one temporary file, which the next one removes.
func replaceFile(path string, b []byte) (err error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%s: %w", path, disk.ErrNotRegular)
	}
	f, err := createTemporary(path)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, err = f.Write(b)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// createTemporary creates path.tmp. The fixed name limits the number of leftover files to
// one.
func createTemporary(path string) (*os.File, error) {
	removeOldTemporaries(path)
	name := path + ".tmp"
	const flags = os.O_WRONLY | os.O_CREATE | os.O_EXCL
	f, err := os.OpenFile(name, flags, 0o600)
	if !errors.Is(err, fs.ErrExist) {
		return f, err
	}
	if !isAbandoned(name) {
		return nil, fmt.Errorf("another process is writing it: %w", err)
	}
	if err := os.Remove(name); err != nil {
		return nil, err
	}
	return os.OpenFile(name, flags, 0o600)
}

// isAbandoned reports whether a temporary file is too old for a running process.
func isAbandoned(name string) bool {
	info, err := os.Lstat(name)
	return err == nil && !info.IsDir() && time.Since(info.ModTime()) > time.Minute
}

// removeOldTemporaries removes files named path.NUMBER, the temporary files of killed
// processes of earlier versions.
func removeOldTemporaries(path string) {
	const maxNames = 1000 // limits the cost in a large directory
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(maxNames) // the names read before an error are enough
	for _, name := range names {
		number, ok := strings.CutPrefix(name, filepath.Base(path)+".")
		if !ok || number == "" || strings.Trim(number, "0123456789") != "" {
			continue
		}
		if old := filepath.Join(filepath.Dir(path), name); isAbandoned(old) {
			_ = os.Remove(old) // retried at the next save
		}
	}
}
