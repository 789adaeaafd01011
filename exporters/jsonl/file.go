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

// file is the file at path with its rotated predecessors. It is opened when it is needed,
// and again after every failure.
type file struct {
	path     string
	maxBytes int64
	maxFiles int

	open    *os.File // nil: closed
	regular bool     // path is a regular file, which may be rotated and truncated
	partial bool     // the last line has no line break
}

// mode hides span names and addresses from other users of the machine.
const mode = 0o600

// append appends complete lines with one write.
func (f *file) append(ctx context.Context, lines []byte) error {
	size, err := f.ready(int64(len(lines)))
	if err != nil {
		return err
	}
	if f.partial {
		// An incomplete line of an earlier process is terminated, not removed: a shipper
		// may have read it already, and treats a file that shrinks as a new one.
		lines = append([]byte{'\n'}, lines...)
	}
	deadline, _ := ctx.Deadline()
	_ = f.open.SetWriteDeadline(deadline) // supported by pipes only
	n, err := f.open.Write(lines)
	if err != nil {
		return errors.Join(err, f.undo(size, n))
	}
	f.partial = false
	return nil
}

// undo removes a partial write and closes the file. The next append opens it again and
// examines its end.
func (f *file) undo(size int64, written int) error {
	var err error
	f.partial = written > 0
	if f.partial && f.regular {
		err = f.open.Truncate(size)
	}
	return errors.Join(err, f.close())
}

// ready opens the file at path, and rotates it if it has no room for n bytes and the end
// of an incomplete line. It returns the size of the file.
func (f *file) ready(n int64) (size int64, err error) {
	if size, err = f.reopen(); err != nil {
		return 0, err
	}
	room := f.maxBytes - size - n
	if f.partial {
		room--
	}
	if !f.regular || size == 0 || room >= 0 {
		return size, nil
	}
	if err := f.rotate(); err != nil {
		return 0, fmt.Errorf("rotate: %w", err)
	}
	return f.reopen()
}

// reopen opens the file at path unless it is open already. Another program, such as
// logrotate, may have moved, removed or truncated it. It returns the size of the file.
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

// examine determines whether open is a regular file and how it ends. It returns the size.
func (f *file) examine(open *os.File) (size int64, err error) {
	info, err := open.Stat()
	if err != nil {
		return 0, err
	}
	link, err := os.Lstat(f.path)
	f.regular = err == nil && link.Mode().IsRegular()
	if !info.Mode().IsRegular() {
		return 0, nil // append keeps track of the end
	}
	f.partial, err = endsPartial(open, info.Size())
	return info.Size(), err
}

// current returns the open file's current info. It returns nil if no file is open, or if
// another file is at path.
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

// endsPartial reports whether the last line has no line break.
func endsPartial(open *os.File, size int64) (bool, error) {
	if size == 0 {
		return false, nil
	}
	last := make([]byte, 1)
	if _, err := open.ReadAt(last, size-1); err != nil {
		return false, err
	}
	return last[0] != '\n', nil
}

// rotate renames each file to the next number, up to the first unused number or to the
// oldest file, which is overwritten. A rotation that failed leaves an unused number, at
// which the next one starts, so that no file is moved twice.
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

// numbered returns the path of the i-th file; 0 is the file at path.
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
