// SPDX-License-Identifier: Apache-2.0

// Package disk reads and writes files, and keeps free space on the disk.
package disk

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// MinFree is the space that the agent leaves on a file system by default, in bytes.
const MinFree = 1 << 30

// Fits returns an error if a file of the given size could leave less than minFree bytes, or less than
// 5 %, of the file system of dir, which must exist.
func Fits(dir string, bytes, minFree int64) error {
	free, whole, err := space(dir)
	if err != nil || whole == 0 {
		return nil //nolint:nilerr // the space is unknown, so only writing shows whether it suffices
	}
	if minFree = max(minFree, whole/20); free-minFree < bytes {
		return fmt.Errorf("disk space is short: %d bytes are free in %s, %d must stay free", free, dir, minFree)
	}
	return nil
}

// ErrNotRegular is the error for a pipe, a device or a directory.
var ErrNotRegular = errors.New("not a regular file")

// ReadFile returns the contents of a regular file of at most maxBytes. It does not wait for the
// writer of a pipe.
func ReadFile(name string, maxBytes int64) ([]byte, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s: %w", name, ErrNotRegular)
	case info.Size() > maxBytes:
		return nil, fmt.Errorf("%s: %d bytes long, at most %d are read", name, info.Size(), maxBytes)
	}
	return io.ReadAll(io.LimitReader(f, maxBytes))
}

// WriteNew creates a file that only the user may read. If synced, it waits until the file is on disk.
// It returns an error if the file exists.
func WriteNew(name string, b []byte, synced bool) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil && synced {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
