// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"strconv"
	"syscall"
)

// maxFile limits the bytes read of one file. The largest one, memory.stat, has 2 KB.
const maxFile = 16 << 10

// maxKept limits the descriptors that a Reader keeps open. A group five levels deep needs
// about thirty; further files are opened in each pass.
const maxKept = 64

// files is the state that all files of a Reader share. They are read with system calls: package
// os registers each file with the poller and sets a finalizer, which costs twice the read.
type files struct {
	kept int   // descriptors
	err  error // the first failure since takeErr, except absence
}

func (f *files) keep(err error) {
	if f.err == nil {
		f.err = err
	}
}

func (f *files) takeErr() error {
	err := f.err
	f.err = nil
	return err
}

// directory has the files of one directory that were read.
type directory struct {
	path  string
	files *files
	known map[string]*file
}

func newDirectory(f *files, path ...string) *directory {
	return &directory{path: filepath.Join(path...), files: f, known: map[string]*file{}}
}

func (d *directory) file(name string) *file {
	k := d.known[name]
	if k == nil {
		k = &file{path: filepath.Join(d.path, name), files: d.files, fd: -1}
		d.known[name] = k
	}
	return k
}

// read returns the complete lines of a file. They are valid until the next read of it.
func (d *directory) read(name string) ([]byte, error) { return d.file(name).read() }

// text is like read, but returns nil for a file that cannot be read and keeps the error for
// takeErr: many files of a control group are optional.
func (d *directory) text(name string) []byte {
	text, err := d.read(name)
	if err != nil && !absence(err) {
		d.files.keep(err)
	}
	return text
}

// number reads a file with one number or the word max, which means absent.
func (d *directory) number(name string) float64 {
	text := bytes.TrimSpace(d.text(name))
	if len(text) == 0 || string(text) == "max" {
		return math.NaN()
	}
	v := parseCount(text)
	if math.IsNaN(v) {
		d.malformed(name)
	}
	return v
}

func (d *directory) malformed(name string) {
	d.files.keep(fmt.Errorf("%s: %w", d.file(name).path, errMalformed))
}

func (d *directory) close() {
	for _, k := range d.known {
		k.close()
	}
}

// file is a pseudo file. Its descriptor stays open between reads, which halves their cost.
type file struct {
	path  string
	files *files
	fd    int // -1: not open
	buf   []byte
}

func (k *file) read() ([]byte, error) {
	if k.fd < 0 {
		fd, err := open(k.path)
		if err != nil {
			return nil, err
		}
		k.fd = fd
		k.files.kept++
	}
	text, err := k.render()
	if err != nil || k.files.kept > maxKept {
		k.close()
	}
	return text, err
}

func (k *file) render() ([]byte, error) {
	for {
		n, err := syscall.Pread(k.fd, k.buf, 0)
		switch {
		case err == syscall.EINTR:
		case err != nil:
			return nil, pathError("read", k.path, err)
		case n < len(k.buf):
			return wholeLines(k.buf[:n]), nil
		case n >= maxFile:
			return nil, pathError("read", k.path, syscall.EFBIG)
		default: // the file may be longer
			k.buf = make([]byte, max(512, 2*n))
		}
	}
}

func (k *file) close() {
	if k.fd >= 0 {
		_ = syscall.Close(k.fd) // read only
		k.fd = -1
		k.files.kept--
	}
}

func open(path string) (int, error) {
	for {
		fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return -1, pathError("open", path, err)
		}
		return fd, nil
	}
}

// pathError converts the errors of a thread, group or directory that has vanished to
// fs.ErrNotExist.
func pathError(op, path string, err error) error {
	for _, gone := range []error{syscall.ESRCH, syscall.ENODEV, syscall.ENOTDIR} {
		if errors.Is(err, gone) {
			err = fs.ErrNotExist
		}
	}
	return &fs.PathError{Op: op, Path: path, Err: err}
}

// wholeLines drops an incomplete last line: a number in it may lack digits.
func wholeLines(b []byte) []byte { return b[:bytes.LastIndexByte(b, '\n')+1] }

// parseCount parses an unsigned integer, and returns NaN for anything else.
func parseCount(text []byte) float64 {
	v, err := strconv.ParseUint(string(text), 10, 64)
	if err != nil {
		return math.NaN()
	}
	return float64(v)
}

// keyed returns the number after key in lines of the form "key number". In "key: number" the
// colon belongs to key.
func keyed(text []byte, key string) float64 {
	return parseCount(keyedWord(text, key))
}

// keyedWord is like keyed for any word.
func keyedWord(text []byte, key string) []byte {
	for line := range bytes.Lines(text) {
		if len(line) <= len(key) || string(line[:len(key)]) != key || line[len(key)] != ' ' && line[len(key)] != '\t' {
			continue
		}
		if word, _ := nextWord(line[len(key):]); len(word) > 0 {
			return word
		}
	}
	return nil
}

// nextWord returns the first word of a text and the rest.
func nextWord(text []byte) (word, rest []byte) {
	text = bytes.TrimLeft(text, " \t\n")
	if end := bytes.IndexAny(text, " \t\n"); end >= 0 {
		return text[:end], text[end:]
	}
	return text, nil
}
