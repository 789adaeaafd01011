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

// maxFile bounds what is read of one file. The largest that is read here, a
// memory.stat, has 2 KB.
const maxFile = 16 << 10

// maxKept bounds the descriptors that a Reader keeps of an application's. A group
// five levels deep takes some thirty; what is beyond is opened at every pass.
const maxKept = 64

// files is what the files of one Reader share. They are read with system calls
// rather than with package os, which for every file registers with the poller and
// sets a finalizer: twice the cost of the read itself.
type files struct {
	kept int   // descriptors
	err  error // the first failure since takeErr that was not an absence
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

// directory has the files in one directory that were asked for.
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

// read returns the complete lines of a file. They are valid until it is read again.
func (d *directory) read(name string) ([]byte, error) { return d.file(name).read() }

// text is like read, but gives nothing for a file that cannot be read and keeps
// the reason for takeErr, so that the many optional files of a control group can
// be read one after another.
func (d *directory) text(name string) []byte {
	text, err := d.read(name)
	if err != nil && !absence(err) {
		d.files.keep(err)
	}
	return text
}

// number reads a file that holds one number or the word max, which is absence.
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

// file is a pseudo file that the kernel renders in one go. Its descriptor stays
// open between two reads, which saves half of the cost.
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
		default: // there may be more
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

// pathError counts as absence also what the kernel says when the thread, the
// group or the directory on the way went away meanwhile.
func pathError(op, path string, err error) error {
	for _, gone := range []error{syscall.ESRCH, syscall.ENODEV, syscall.ENOTDIR} {
		if errors.Is(err, gone) {
			err = fs.ErrNotExist
		}
	}
	return &fs.PathError{Op: op, Path: path, Err: err}
}

// wholeLines drops what follows the last newline: the kernel ends every line with
// one, so a number without may lack digits.
func wholeLines(b []byte) []byte { return b[:bytes.LastIndexByte(b, '\n')+1] }

// parseCount parses an unsigned integer; anything else is absence.
func parseCount(text []byte) float64 {
	v, err := strconv.ParseUint(string(text), 10, 64)
	if err != nil {
		return math.NaN()
	}
	return float64(v)
}

// keyed returns the number behind key in text made of "key number" lines. The
// colon of "key: number" belongs to key.
func keyed(text []byte, key string) float64 {
	return parseCount(keyedWord(text, key))
}

// keyedWord is like keyed for a word that need not be a number.
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

// nextWord returns the first word of a text, and what follows it.
func nextWord(text []byte) (word, rest []byte) {
	text = bytes.TrimLeft(text, " \t\n")
	if end := bytes.IndexAny(text, " \t\n"); end >= 0 {
		return text[:end], text[end:]
	}
	return text, nil
}
