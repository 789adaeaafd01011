// SPDX-License-Identifier: Apache-2.0

//go:build unix

package spool

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// openFlags keep an open from following a link that somebody else has planted, and from
// waiting for the other end of a pipe.
const openFlags = syscall.O_NOFOLLOW | syscall.O_NONBLOCK

// owned returns an error that wraps errForeign unless the file is a regular one of this
// user that nobody else can write.
func owned(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	s, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.Mode().IsRegular():
		return fmt.Errorf("%w: it is no regular file", errForeign)
	case ok && int(s.Uid) != os.Geteuid() && !ofItsDirectory(f.Name(), s.Uid):
		return fmt.Errorf("%w: it belongs to user %d, this process to %d", errForeign, s.Uid, os.Geteuid())
	case info.Mode().Perm()&0o022 != 0:
		return fmt.Errorf("%w: others can write it (%v)", errForeign, info.Mode().Perm())
	case ok && s.Nlink > 1:
		return fmt.Errorf("%w: it has %d names", errForeign, s.Nlink)
	default:
		return nil
	}
}

// ofItsDirectory reports whether a file belongs to the user of its directory, in which
// nobody else can make one. A network file system may give all that this process makes
// to another user.
func ofItsDirectory(name string, uid uint32) bool {
	info, err := os.Stat(filepath.Dir(name))
	if err != nil {
		return false
	}
	s, ok := info.Sys().(*syscall.Stat_t)
	return ok && s.Uid == uid && info.Mode().Perm()&0o022 == 0
}
