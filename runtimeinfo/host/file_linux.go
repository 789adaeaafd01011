package host

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// maxFile bounds what is read of one file. The largest that is read through
// this buffer, a memory.stat, has 2 KB.
const maxFile = 16 << 10

// files reads small pseudo files through one buffer. It uses system calls
// rather than package os, which for every file registers with the poller and
// sets a finalizer: twice the cost of the read itself.
type files struct {
	buf [maxFile]byte
	err error // the first failure since takeErr that was not an absence
}

// read opens path and returns its complete lines.
func (f *files) read(path string) (string, error) {
	fd, err := open(path)
	if err != nil {
		return "", err
	}
	defer syscall.Close(fd) //nolint:errcheck // read only
	n := 0
	for n < len(f.buf) {
		m, err := syscall.Read(fd, f.buf[n:])
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return "", pathError("read", path, err)
		}
		if m == 0 {
			return wholeLines(f.buf[:n]), nil
		}
		n += m
	}
	return "", pathError("read", path, syscall.EFBIG)
}

// text is like read, but gives nothing for a file that cannot be read and keeps
// the reason for takeErr, so that the many optional files of a control group can
// be read one after another.
func (f *files) text(path ...string) string {
	text, err := f.read(filepath.Join(path...))
	if err != nil && !absence(err) {
		f.keep(err)
	}
	return text
}

// number reads a file that holds one number or the word max, which is absence.
func (f *files) number(path ...string) float64 {
	text := strings.TrimSpace(f.text(path...))
	if text == "" || text == "max" {
		return math.NaN()
	}
	v := parseCount(text)
	if math.IsNaN(v) {
		f.malformed(path...)
	}
	return v
}

func (f *files) malformed(path ...string) {
	f.keep(fmt.Errorf("%s: %w", filepath.Join(path...), errMalformed))
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

// keptFile is a pseudo file whose descriptor stays open, which saves half of the
// cost. It suits the files that the kernel renders in one go.
type keptFile struct {
	path string
	fd   int // -1: not open
}

func newKeptFile(path string) *keptFile { return &keptFile{path: path, fd: -1} }

func (k *keptFile) read(f *files) (string, error) {
	if k.fd < 0 {
		fd, err := open(k.path)
		if err != nil {
			return "", err
		}
		k.fd = fd
	}
	n, err := syscall.Pread(k.fd, f.buf[:], 0)
	if err != nil {
		k.close()
		return "", pathError("read", k.path, err)
	}
	if n == len(f.buf) {
		return "", pathError("read", k.path, syscall.EFBIG)
	}
	return wholeLines(f.buf[:n]), nil
}

func (k *keptFile) close() {
	if k.fd >= 0 {
		_ = syscall.Close(k.fd) // read only
		k.fd = -1
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
func wholeLines(b []byte) string { return string(b[:bytes.LastIndexByte(b, '\n')+1]) }

// parseCount parses an unsigned integer; anything else is absence.
func parseCount(s string) float64 {
	v, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return math.NaN()
	}
	return float64(v)
}

// keyed returns the number behind key in text made of "key number" lines. The
// colon of "key: number" belongs to key.
func keyed(text, key string) float64 {
	return parseCount(keyedWord(text, key))
}

// keyedWord is like keyed for a word that need not be a number.
func keyedWord(text, key string) string {
	for line := range strings.Lines(text) {
		rest, ok := strings.CutPrefix(line, key)
		if !ok || strings.TrimLeft(rest, " \t") == rest {
			continue
		}
		if fields := strings.Fields(rest); len(fields) > 0 {
			return fields[0]
		}
	}
	return ""
}
