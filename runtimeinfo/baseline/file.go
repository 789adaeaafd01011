// SPDX-License-Identifier: Apache-2.0

package baseline

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/gmpulse/gmpulse/internal/disk"
)

// replaceFile atomically replaces a regular file, or creates it, by way of path.tmp. The fixed name
// limits the number of files that killed processes leave to one, which the next process removes.
func replaceFile(path string, b []byte) error {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%s: %w", path, disk.ErrNotRegular)
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
