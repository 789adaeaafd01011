// SPDX-License-Identifier: Apache-2.0

//go:build unix

package spool

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// openFlags make open fail on a symbolic link and return at once for a named pipe.
const openFlags = syscall.O_NOFOLLOW | syscall.O_NONBLOCK

// checkOwner returns an error that wraps errForeign unless f is a regular file that
// belongs to this user and that no other user can write.
func checkOwner(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	s, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.Mode().IsRegular():
		return fmt.Errorf("%w: not a regular file", errForeign)
	case ok && int(s.Uid) != os.Geteuid() && !ownsDirectory(f.Name(), s.Uid):
		return fmt.Errorf("%w: owned by user %d, this process runs as %d", errForeign, s.Uid, os.Geteuid())
	case info.Mode().Perm()&0o022 != 0:
		return fmt.Errorf("%w: writable by others (%v)", errForeign, info.Mode().Perm())
	case ok && s.Nlink > 1:
		return fmt.Errorf("%w: %d hard links", errForeign, s.Nlink)
	default:
		return nil
	}
}

// ownsDirectory reports whether uid owns the directory of the named file and no other
// user can create files there. Some network file systems map every file that this
// process creates to another user.
func ownsDirectory(name string, uid uint32) bool {
	info, err := os.Stat(filepath.Dir(name))
	if err != nil {
		return false
	}
	s, ok := info.Sys().(*syscall.Stat_t)
	return ok && s.Uid == uid && info.Mode().Perm()&0o022 == 0
}
