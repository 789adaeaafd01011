// SPDX-License-Identifier: Apache-2.0

package baseline

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// errNotRegular is why a pipe, a device or a directory is neither read nor replaced.
var errNotRegular = errors.New("it is not a regular file")

// readFile reads a regular file of at most so many bytes. Opening does not wait for a
// writer, as that of a pipe would.
func readFile(path string, most int64) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, errNotRegular
	case info.Size() > most:
		return nil, fmt.Errorf("it has %d bytes, a state has at most %d", info.Size(), most)
	}
	return io.ReadAll(io.LimitReader(f, most))
}

// abandoned is how old a temporary file is of which the process was killed.
const abandoned = time.Minute

// replaceFile puts b in the place of a regular file, or of none: whole, or not at all.
// A process that is killed leaves one temporary file, which the next one removes.
func replaceFile(path string, b []byte) (err error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%s: %w", path, errNotRegular)
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

// createTemporary creates the temporary file beside path. Its name is always the same,
// so that there is one at most.
func createTemporary(path string) (*os.File, error) {
	removeOld(path)
	name := path + ".tmp"
	const flags = os.O_WRONLY | os.O_CREATE | os.O_EXCL
	f, err := os.OpenFile(name, flags, 0o600)
	if !errors.Is(err, fs.ErrExist) {
		return f, err
	}
	if !isAbandoned(name) {
		return nil, fmt.Errorf("another process writes it: %w", err)
	}
	if err := os.Remove(name); err != nil {
		return nil, err
	}
	return os.OpenFile(name, flags, 0o600)
}

func isAbandoned(name string) bool {
	info, err := os.Lstat(name)
	return err == nil && !info.IsDir() && time.Since(info.ModTime()) > abandoned
}

// removeOld removes the temporary files of killed processes of earlier versions, which
// are called as path with a dot and a number after it.
func removeOld(path string) {
	const most = 1000 // that are looked at, so that a full directory costs little
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(most) // what there is will do
	for _, name := range names {
		number, ok := strings.CutPrefix(name, filepath.Base(path)+".")
		if !ok || number == "" || strings.Trim(number, "0123456789") != "" {
			continue
		}
		if old := filepath.Join(filepath.Dir(path), name); isAbandoned(old) {
			_ = os.Remove(old) // again next time
		}
	}
}
