// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bytes"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
)

// maxFile limits the bytes read of one file. The largest one, mountinfo, has about 100 KB on
// nodes with many containers.
const maxFile = 1 << 20

// read returns the complete lines of a pseudo file. A system call for each step takes half the
// time of package os.
func read(path ...string) ([]byte, error) {
	name := filepath.Join(path...)
	fd, err := syscall.Open(name, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	defer func() { _ = syscall.Close(fd) }() // it was open for reading only
	var text []byte
	for len(text) < maxFile {
		if len(text) == cap(text) {
			text = slices.Grow(text, 1024)
		}
		n, err := syscall.Read(fd, text[len(text):cap(text)])
		if err != nil {
			return nil, &fs.PathError{Op: "read", Path: name, Err: err}
		}
		if n == 0 {
			break
		}
		text = text[:len(text)+n]
	}
	return wholeLines(text), nil
}

// wholeLines drops an incomplete last line: a number in it may lack digits.
func wholeLines(b []byte) []byte { return b[:bytes.LastIndexByte(b, '\n')+1] }

// directory reads files of a directory, such as a control group. Many of them are optional.
type directory struct {
	path string
	err  *error // the first failure, except absence
}

// text returns nil for a file that cannot be read.
func (d directory) text(name string) []byte {
	text, err := read(d.path, name)
	if err != nil && !absence(err) {
		d.fail(err)
	}
	return text
}

// number reads a file with one number or the word max, which means absent.
func (d directory) number(name string) float64 {
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

func (d directory) malformed(name string) {
	d.fail(fmt.Errorf("%s: %w", filepath.Join(d.path, name), errMalformed))
}

func (d directory) fail(err error) {
	if *d.err == nil {
		*d.err = err
	}
}

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
		rest, ok := bytes.CutPrefix(line, []byte(key))
		if !ok || bytes.IndexAny(rest, " \t") != 0 {
			continue
		}
		if words := bytes.Fields(rest); len(words) > 0 {
			return words[0]
		}
	}
	return nil
}
