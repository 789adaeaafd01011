// SPDX-License-Identifier: Apache-2.0

// Package disk writes private files and keeps free space on the disk.
package disk

import (
	"errors"
	"fmt"
	"os"
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
