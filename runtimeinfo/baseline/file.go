// SPDX-License-Identifier: Apache-2.0

package baseline

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"

	"github.com/gmpulse/gmpulse/internal/disk"
)

// errNotRegular is returned for a pipe, a device or a directory.
var errNotRegular = errors.New("not a regular file")

// readFile reads a regular file of at most maxBytes. It does not wait for the writer of a
// pipe.
func readFile(path string, maxBytes int64) ([]byte, error) {
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
	case info.Size() > maxBytes:
		return nil, fmt.Errorf("%d bytes long, a state file has at most %d", info.Size(), maxBytes)
	}
	return io.ReadAll(io.LimitReader(f, maxBytes))
}

// replaceFile atomically replaces a regular file, or creates it, by way of path.tmp. The fixed name
// limits the number of files that killed processes leave to one, which the next process removes.
func replaceFile(path string, b []byte) error {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%s: %w", path, errNotRegular)
	}
	temporary := path + ".tmp"
	if info, err := os.Lstat(temporary); err == nil && !info.IsDir() && time.Since(info.ModTime()) > time.Minute {
		_ = os.Remove(temporary) // its process was killed; WriteNew reports it if it remains
	}
	err := disk.WriteNew(temporary, b, true)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("another process is writing it: %w", err)
	}
	if err == nil {
		err = os.Rename(temporary, path)
	}
	if err != nil {
		_ = os.Remove(temporary) // it may not exist
	}
	return err
}
