// SPDX-License-Identifier: Apache-2.0

package jsonl

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
)

// file is the one at path, with the older ones beside it. It is opened when it
// is first needed, and again after every failure.
type file struct {
	path     string
	maxBytes int64
	maxFiles int

	open *os.File // nil: closed
	ours bool     // a regular file at path itself: to be rotated, and cut where a write failed
	torn bool     // the last line has no end
}

// mode keeps span names and addresses from other users of the machine.
const mode = 0o600

// append adds whole lines with one write.
func (f *file) append(ctx context.Context, lines []byte) error {
	size, err := f.ready(int64(len(lines)))
	if err != nil {
		return err
	}
	if f.torn {
		// A line that a crash left half-written is ended rather than cut off: a
		// shipper may have read it already and would take a file that shrinks for
		// a new one, and the file may be one that was never ours to cut.
		lines = append([]byte{'\n'}, lines...)
	}
	deadline, _ := ctx.Deadline()
	_ = f.open.SetWriteDeadline(deadline) // pipes can; on a disk no write can be ended
	n, err := f.open.Write(lines)
	if err != nil {
		return errors.Join(err, f.undo(size, n))
	}
	f.torn = false
	return nil
}

// undo takes a partial write back. Whatever happens, the next append opens the
// file anew and looks how it ends.
func (f *file) undo(size int64, written int) error {
	var err error
	f.torn = written > 0
	if f.torn && f.ours {
		err = f.open.Truncate(size)
	}
	return errors.Join(err, f.close())
}

// ready makes sure that the file at path is open and has room for n bytes, and
// for the end of a torn line. It returns the size of the file.
func (f *file) ready(n int64) (size int64, err error) {
	if size, err = f.reopen(); err != nil {
		return 0, err
	}
	room := f.maxBytes - size - n
	if f.torn {
		room--
	}
	if !f.ours || size == 0 || room >= 0 {
		return size, nil
	}
	if err := f.rotate(); err != nil {
		return 0, fmt.Errorf("rotate: %w", err)
	}
	return f.reopen()
}

// reopen opens the file at path unless it is the one that is open: another
// program, logrotate say, may have moved, removed or emptied it.
func (f *file) reopen() (size int64, err error) {
	if info := f.current(); info != nil {
		return info.Size(), nil
	}
	if err := f.close(); err != nil {
		return 0, err
	}
	open, err := os.OpenFile(f.path, os.O_RDWR|os.O_APPEND|os.O_CREATE, mode)
	if err != nil {
		return 0, err
	}
	size, err = f.examine(open)
	if err != nil {
		return 0, errors.Join(err, open.Close())
	}
	f.open = open
	return size, nil
}

// examine finds out whose file was opened, and how it ends.
func (f *file) examine(open *os.File) (size int64, err error) {
	info, err := open.Stat()
	if err != nil {
		return 0, err
	}
	link, err := os.Lstat(f.path)
	f.ours = err == nil && link.Mode().IsRegular()
	if !info.Mode().IsRegular() {
		return 0, nil // how it ends is what the last write said
	}
	f.torn, err = endsTorn(open, info.Size())
	return info.Size(), err
}

// current describes the open file, with its size of the moment. It is nil when
// there is none, or another one has taken its place.
func (f *file) current() fs.FileInfo {
	if f.open == nil {
		return nil
	}
	held, err := f.open.Stat()
	if err != nil {
		return nil
	}
	if found, err := os.Stat(f.path); err != nil || !os.SameFile(held, found) {
		return nil
	}
	return held
}

func endsTorn(open *os.File, size int64) (bool, error) {
	if size == 0 {
		return false, nil
	}
	last := make([]byte, 1)
	if _, err := open.ReadAt(last, size-1); err != nil {
		return false, err
	}
	return last[0] != '\n', nil
}

// rotate moves each file one number up, until one fills a gap or overwrites the
// oldest. After a rotation that failed half-way there is a gap: starting at it,
// a repetition moves nothing twice.
func (f *file) rotate() error {
	if err := f.close(); err != nil {
		return err
	}
	oldest := f.maxFiles - 1
	if oldest == 0 {
		return os.Remove(f.path)
	}
	free := 1
	for free < oldest && exists(f.numbered(free)) {
		free++
	}
	for i := free; i > 0; i-- {
		if err := os.Rename(f.numbered(i-1), f.numbered(i)); err != nil {
			return err
		}
	}
	return nil
}

// numbered is the path of the i-th file; 0 is the one that is written.
func (f *file) numbered(i int) string {
	if i == 0 {
		return f.path
	}
	return f.path + "." + strconv.Itoa(i)
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

func (f *file) close() error {
	if f.open == nil {
		return nil
	}
	open := f.open
	f.open = nil
	return open.Close()
}
